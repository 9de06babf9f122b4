import { type RedisSentinelSet, startRedisSentinel } from '@spillway/local-servers';
import { redisLibraries } from '@spillway/local-servers/testing';
import * as hotPath from '@spillway/redis';
import { call, readRedisOption } from '@spillway/redis';
import { expect, it, onTestFinished } from 'vitest';
import { prompt, tally } from '../../test/promptness.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';

const DEADLINE_MS = 100;
const policies = [definePolicy({ name: 'open', limit: 1_000, windowMs: 600_000 })] as const;

async function started(): Promise<RedisSentinelSet> {
  const set = await startRedisSentinel();
  onTestFinished(() => set.stop());
  return set;
}

const cases = redisLibraries(hotPath).flatMap(({ name, connectToSentinel }) => {
  // A frozen master node-redis leaves only when TCP gives up.
  const faults = name.startsWith('node-redis') ? (['kill'] as const) : (['kill', 'pause'] as const);
  return faults.map((fault) => ({ name, fault, connectToSentinel }));
});

it.each(cases)(
  'over $name decisions go on while a Sentinel replaces its master ($fault), and go by what the replica knew',
  { timeout: 90_000 },
  async ({ fault, connectToSentinel }) => {
    const set = await started();
    const connected = await connectToSentinel(set);
    onTestFinished(() => connected.end());
    const { client } = connected;
    const option = readRedisOption(client);
    if (typeof option === 'string') throw new Error(option);
    onTestFinished(() => option.release());
    const limiter = createLimiter({ redis: client, policies, deadlineMs: DEADLINE_MS });
    const ask = async (): Promise<Record<string, number>> =>
      tally(await prompt(DEADLINE_MS, 20, () => limiter.consume('open', 'u')));
    await expect.poll(ask, { timeout: 10_000 }).toEqual({ allowed: 20 });
    expect(Number(await call(option.client, 'WAIT', [2, 10_000]))).toBe(2);
    const { remaining } = await limiter.peek('open', 'u');
    await set.nodes[0]?.[fault]();
    expect(await ask()).toEqual({ unavailable: 20 });
    await expect
      .poll(async () => (await limiter.peek('open', 'u')).reason, { timeout: 40_000, interval: 200 })
      .toBe('allowed');
    expect((await set.master()).port).not.toBe(set.nodes[0]?.port);
    // All had been replicated, and nothing was decided later or twice.
    expect((await limiter.peek('open', 'u')).remaining).toBe(remaining);
    // A client of node-redis looks at its Sentinels a while longer, and writes nothing meanwhile.
    await expect.poll(ask, { timeout: 20_000 }).toEqual({ allowed: 20 });
    await limiter.close();
  },
);
