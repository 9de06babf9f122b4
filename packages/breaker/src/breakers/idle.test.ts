import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { afterEach, expect, it } from 'vitest';
import { fine, quick } from '../../test/breakers.ts';
import type { Runtime } from '../engine/types.ts';
import { redisStore } from '../store/redis-store.ts';
import { breakersFrom } from './breaker-set.ts';
import type { Breakers } from './breaker.ts';

const redis = useRedis();
const soon = { timeout: 20_000 };
const made: Breakers[] = [];
afterEach(async () => {
  await Promise.all(made.splice(0).map((breakers) => breakers.close()));
});

/** Time that passes thirty times as fast, so that many heartbeats fit into a test. */
const SPEED = 30;
const fast: Runtime = {
  now: () => performance.now() * SPEED,
  random: Math.random,
  after(delayMs, work) {
    const timer = setTimeout(work, delayMs / SPEED);
    return () => clearTimeout(timer);
  },
};

function process(hears = true): Breakers {
  const client = redis.connect(hotPathOptions);
  const store = redisStore({ client, deadlineMs: 5_000, shards: 16, outboxCap: 1_000 });
  const listen: typeof store.listen = hears ? store.listen : () => ({ isLive: false, close: () => undefined });
  const breakers = breakersFrom({
    actor: 'test',
    presets: [quick()],
    store: { ...store, listen },
    metrics: undefined,
    maxBreakers: 1_000,
    idleMs: 1e9,
    outageOf: () => ({ count: () => undefined, close: async () => undefined }),
    runtime: fast,
  });
  made.push(breakers);
  return breakers;
}

/** How often each command was carried out, those inside scripts included. */
async function commands(): Promise<Map<string, number>> {
  const stats = await redis.client.info('commandstats');
  const own = new Set(['info', 'config|resetstat']);
  const all = [...stats.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)].map(
    ([, name = '', calls]) => [name, Number(calls)] as const,
  );
  return new Map(all.filter(([name]) => !own.has(name)));
}

const names = Array.from({ length: 30 }, (_, index) => `dependency ${index}`);

async function idle(breakers: Breakers): Promise<void> {
  await Promise.all(names.map((name) => breakers.run(name, 'quick', fine)));
  const heard = (): boolean => breakers.snapshot().every(({ epoch }) => epoch > 0);
  await expect.poll(heard, soon).toBe(true);
  // All is told when nothing but the heartbeat comes any more.
  const quiet = async (): Promise<string[]> => {
    await redis.client.config('RESETSTAT');
    await expect.poll(async () => (await commands()).get('mget') ?? 0, soon).toBeGreaterThan(2);
    return [...(await commands()).keys()];
  };
  await expect.poll(quiet, soon).toEqual(['mget']);
}

it('an idle process sends one command a heartbeat, however many breakers it has', async () => {
  await idle(process());
  await redis.client.config('RESETSTAT');
  await expect.poll(async () => (await commands()).get('mget') ?? 0, soon).toBeGreaterThan(20);
  expect([...(await commands()).keys()]).toEqual(['mget']);
});

it('an idle process that hears no announcements learns of a change by its heartbeat, and reads only what changed', async () => {
  const deaf = process(false);
  await idle(deaf);
  const other = process();
  await other.get('dependency 7', 'quick').forceOpen({ who: 'ada' });
  await other.close();
  await redis.client.config('RESETSTAT');
  await expect.poll(() => deaf.get('dependency 7', 'quick').state, soon).toBe('forced_open');
  await expect.poll(async () => (await commands()).get('mget') ?? 0, soon).toBeGreaterThan(10);
  expect((await commands()).get('evalsha') ?? 0).toBeLessThanOrEqual(1);
});
