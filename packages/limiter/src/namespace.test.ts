import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SpillwayStore } from './express-rate-limit/index.ts';
import { createLimiter, type LimiterSettings } from './limiter/create-limiter.ts';
import { livePolicies } from './live/live-over.ts';
import { definePolicy, type PolicyOptions } from './policy.ts';

const redis = useRedis();
const SOON = { timeout: 10_000 };
const policies = [
  definePolicy({ name: 'once', limit: 1, windowMs: 60_000 }),
  definePolicy({ name: 'strict', limit: 1, windowMs: 60_000, blockMs: 60_000, onUnavailable: 'local' }),
];

function client(): Redis {
  const made = new Redis(redis.url, hotPathOptions);
  onTestFinished(() => made.disconnect());
  return made;
}

function limiterOf(options: Partial<LimiterSettings<readonly PolicyOptions[]>> = {}) {
  const limiter = createLimiter({ redis: client(), policies, deadlineMs: 5_000, live: true, ...options });
  onTestFinished(() => limiter.close());
  return limiter;
}

describe('a namespace', () => {
  it('parts windows, blocks by hand and live changes, and those who share it share all three', async () => {
    const [production, staging, neighbour] = [undefined, 'staging', 'staging'].map((namespace) =>
      limiterOf(namespace === undefined ? {} : { namespace }),
    );
    if (production === undefined || staging === undefined || neighbour === undefined) throw new Error('not three');
    expect((await staging.consume('once', 'ada')).allowed).toBe(true);
    expect((await neighbour.consume('once', 'ada')).allowed).toBe(false);
    expect((await production.consume('once', 'ada')).allowed).toBe(true);

    await staging.block('once', 'bob', { durationMs: 60_000 });
    await staging.live.deny('eve');
    await staging.live.setOverride({ policy: 'once', subject: 'carl', limit: 5 });
    await expect.poll(async () => (await neighbour.peek('once', 'eve')).allowed, SOON).toBe(false);
    await expect.poll(async () => (await neighbour.peek('once', 'carl')).limit, SOON).toBe(5);
    expect((await neighbour.peek('once', 'bob')).allowed).toBe(false);
    for (const subject of ['bob', 'eve', 'carl']) {
      expect(await production.peek('once', subject), subject).toMatchObject({ allowed: true, limit: 1 });
    }
    const live = livePolicies({ redis: redis.url, namespace: 'staging' });
    onTestFinished(() => live.close());
    expect((await live.list()).overrides).toHaveLength(1);
  });

  it.each(['staging', '07', 'a_b-c'])('%s is part of every key and every channel', async (namespace) => {
    const limiter = limiterOf({ namespace, recordDecisions: true });
    await limiter.live.setOverride({ policy: 'once', subject: 'carl', limit: 5 });
    await limiter.consume('strict', 'ada');
    await limiter.consume('strict', 'ada');
    await limiter.consume('strict', 'ada');
    await expect.poll(() => redis.client.keys('*:live:limiter'), SOON).toHaveLength(1);
    const channels = await redis.client.pubsub('CHANNELS');
    await limiter.close();
    const keys = await redis.client.keys('*');
    expect(keys.length).toBeGreaterThanOrEqual(6);
    for (const key of keys) {
      expect(key.startsWith(`{sw:${namespace}:`) || key.startsWith(`spillway:${namespace}@`), key).toBe(true);
    }
    expect(channels.length).toBeGreaterThanOrEqual(3);
    for (const channel of channels as string[]) expect(channel).toMatch(new RegExp(`^spillway:${namespace}@0:`));
  });

  it('parts the hits of a store for another middleware too, and what local policies count of their like', async () => {
    const store = new SpillwayStore({ redis: client(), namespace: 'staging', trail: false, deadlineMs: 5_000 });
    onTestFinished(() => store.shutdown());
    store.init({ windowMs: 60_000 });
    expect((await store.increment('ada')).totalHits).toBe(1);
    expect((await store.increment('ada')).totalHits).toBe(2);
    await limiterOf({ namespace: 'staging' }).consume('strict', 'ada');
    await expect.poll(() => redis.client.keys('{sw:staging:00}:live:limiter'), SOON).toHaveLength(1);
    expect((await redis.client.keys('*')).filter((key) => !key.startsWith('{sw:staging:'))).toEqual([]);
  });

  it.each(['Staging', 'a:b', 'a}b', ' ', 'x'.repeat(65), 7, null])('cannot be %j', (namespace) => {
    const wrong = { namespace } as unknown as { readonly namespace: string };
    expect(() => createLimiter({ redis: client(), policies, ...wrong })).toThrow(/namespace.*must be 1 to 64/u);
    expect(() => livePolicies({ redis: client(), ...wrong })).toThrow(/namespace.*must be 1 to 64/u);
  });
});

describe('a number of shards', () => {
  it('that differs from that of another process is told, once, and by namespace', async () => {
    const told: string[] = [];
    const onError = ({ code, message }: { readonly code: string; readonly message: string }): void =>
      void told.push(`${code}: ${message}`);
    await limiterOf({ shards: 16 }).peek('once', 'ada');
    await expect.poll(() => redis.client.keys('{sw:00}:shards'), SOON).toHaveLength(1);
    await limiterOf({ shards: 8, namespace: 'other', onError }).peek('once', 'ada');
    await expect.poll(() => redis.client.keys('{sw:other:00}:shards'), SOON).toHaveLength(1);
    expect(told).toEqual([]);
    const odd = limiterOf({ shards: 8, onError });
    await expect.poll(() => told, SOON).toHaveLength(1);
    expect(told[0]).toMatch(/^shards_disagree: .*8 here, 16 elsewhere/u);
    expect((await odd.consume('once', 'ada')).allowed).toBe(true);
  });
});

const usedMemory = async (): Promise<number> =>
  Number(/used_memory:(\d+)/u.exec(await redis.client.info('memory'))?.[1]);
const withoutTrail = (options: object): unknown =>
  createLimiter({ redis: client(), policies, trail: false, ...options });

/** Blocks, near-limit crossings and refusals: what a trail tells of. @returns by how much Redis' memory grew */
async function manyEvents(options: Partial<LimiterSettings<readonly PolicyOptions[]>>): Promise<number> {
  await redis.client.flushdb();
  const limiter = limiterOf({ live: false, denyCache: false, ...options });
  const turn = async (): Promise<void> => {
    await limiter.block('once', 'ada', { durationMs: 1_000 });
    await limiter.consume('once', 'ada');
    await limiter.unblock('once', 'ada');
  };
  await turn();
  const before = await usedMemory();
  for (let round = 0; round < 40; round += 1) await Promise.all(Array.from({ length: 50 }, turn));
  await limiter.close();
  return (await usedMemory()) - before;
}

describe('without a trail', () => {
  it('the same events leave nothing in Redis, and with one they wait there', async () => {
    const withTrail = await manyEvents({});
    expect(withTrail).toBeGreaterThan(150_000);
    expect(await redis.client.keys('*:outbox')).toHaveLength(1);
    const without = await manyEvents({ trail: false });
    expect(without).toBeLessThan(withTrail / 4);
    expect(await redis.client.keys('*outbox*')).toEqual([]);
  });

  it('decisions are the same', async () => {
    const limiter = limiterOf({ trail: false });
    expect((await limiter.consume('strict', 'ada')).allowed).toBe(true);
    expect(await limiter.consume('strict', 'ada')).toMatchObject({ allowed: false, reason: 'blocked' });
    expect(await limiter.consume('strict', 'ada')).toMatchObject({ allowed: false, reason: 'blocked' });
    await limiter.unblock('strict', 'ada');
    await limiter.reset('strict', 'ada');
    expect((await limiter.consume('strict', 'ada')).allowed).toBe(true);
    await limiter.close();
    expect(await redis.client.keys('*outbox*')).toEqual([]);
  });

  it('options that need one are refused by name', () => {
    expect(() => withoutTrail({ outboxCap: 5 })).toThrow(/outboxCap.*trail/u);
    expect(() => withoutTrail({ recordDecisions: true })).toThrow(/recordDecisions.*trail/u);
    expect(() => withoutTrail({ trail: 'no' })).toThrow(/trail.*true or false/u);
    expect(() => withoutTrail({ trail: 0 })).toThrow(/trail.*true or false/u);
  });
});
