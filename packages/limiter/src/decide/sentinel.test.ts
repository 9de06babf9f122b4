import { type RedisSentinelSet, startRedisSentinel } from '@spillway/embedded';
import { expect, it, onTestFinished } from 'vitest';
import { connectToSentinel } from '../../test/clients.ts';
import { prompt, tally } from '../../test/promptness.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy/policy.ts';

const DEADLINE_MS = 100;
const policies = [definePolicy({ name: 'open', limit: 1_000, windowMs: 600_000 })] as const;

async function started(): Promise<RedisSentinelSet> {
  const set = await startRedisSentinel();
  onTestFinished(() => set.stop());
  return set;
}

it.each(['kill', 'pause'] as const)(
  'decisions go on while a Sentinel replaces its master (%s), and go by what the replica knew',
  { timeout: 90_000 },
  async (fault) => {
    const set = await started();
    const client = await connectToSentinel(set);
    const limiter = createLimiter({ redis: client, policies, deadlineMs: DEADLINE_MS });
    const ask = async (): Promise<Record<string, number>> =>
      tally(await prompt(DEADLINE_MS, 20, () => limiter.consume('open', 'u')));
    await expect.poll(ask, { timeout: 10_000 }).toEqual({ allowed: 20 });
    expect(await client.wait(2, 10_000)).toBe(2);
    const { remaining } = await limiter.peek('open', 'u');
    await set.nodes[0]?.[fault]();
    expect(await ask()).toEqual({ unavailable: 20 });
    await expect
      .poll(async () => (await limiter.peek('open', 'u')).reason, { timeout: 40_000, interval: 200 })
      .toBe('allowed');
    expect((await set.master()).port).not.toBe(set.nodes[0]?.port);
    // All had been replicated, and nothing was decided later or twice.
    expect((await limiter.peek('open', 'u')).remaining).toBe(remaining);
    expect(await ask()).toEqual({ allowed: 20 });
    await limiter.close();
  },
);
