import { type RedisServer, startRedis } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createLimiter } from './limiter/create-limiter.ts';
import { definePolicy, withNumbers } from './policy.ts';
import { memoryStore } from './store/memory-store.ts';

const windowMs = 3_600_000;
const policies = [
  definePolicy({ name: 'log', limit: 10, windowMs }),
  definePolicy({ name: 'window', algorithm: 'sliding-window', limit: 10, windowMs }),
  definePolicy({ name: 'fixed', algorithm: 'fixed-window', limit: 10, windowMs }),
  definePolicy({ name: 'bucket', algorithm: 'token-bucket', limit: 10, windowMs }),
  definePolicy({ name: 'slots', algorithm: 'concurrency', limit: 10, windowMs }),
  definePolicy({ name: 'month', algorithm: 'quota', limit: 10, period: 'month' }),
];

let server: RedisServer;
let redis: Redis;
beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, hotPathOptions);
  await vi.waitUntil(() => redis.status === 'ready');
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

describe.each([
  ['memory', () => createLimiter<typeof policies>({ store: memoryStore(), policies, live: true })],
  ['redis', () => createLimiter<typeof policies>({ redis, policies, live: true, deadlineMs: 5_000 })],
] as const)('usage in %s', (_store, open) => {
  it.each(policies.map(({ name, algorithm }) => [algorithm, name]))(
    'is kept when the limit of a %s changes',
    async (_algorithm, policy) => {
      const limiter = open();
      try {
        await limiter.consume(policy, 'u', { cost: 10 });
        expect((await limiter.consume(policy, 'u')).allowed).toBe(false);
        await limiter.live.setOverride({ policy, subject: 'u', limit: 20 });
        expect(await limiter.peek(policy, 'u')).toMatchObject({ allowed: true, limit: 20, remaining: 10 });
        expect(await limiter.consume(policy, 'u', { cost: 10 })).toMatchObject({ allowed: true, remaining: 0 });
        expect((await limiter.consume(policy, 'u')).allowed).toBe(false);
        await limiter.live.setOverride({ policy, subject: 'u', limit: 5 });
        expect(await limiter.consume(policy, 'u')).toMatchObject({ allowed: false, limit: 5, remaining: 0 });
        await limiter.live.removeOverride({ policy, subject: 'u' });
        expect(await limiter.peek(policy, 'u')).toMatchObject({ allowed: false, limit: 10, remaining: 0 });
      } finally {
        await limiter.close();
      }
    },
  );
});

describe.each([
  ['memory', () => createLimiter<typeof policies>({ store: memoryStore(), policies, live: true })],
  ['redis', () => createLimiter<typeof policies>({ redis, policies, live: true, deadlineMs: 5_000 })],
] as const)('a window in buckets in %s', (_store, open) => {
  it.each([windowMs * 24, windowMs / 4])('keeps its usage when its length becomes %d ms', async (changed) => {
    const limiter = open();
    const subject = `changes to ${changed}`;
    await limiter.consume('window', subject, { cost: 10 });
    await limiter.live.setOverride({ policy: 'window', subject, windowMs: changed });
    const refused = await limiter.consume('window', subject);
    expect(refused).toMatchObject({ allowed: false, remaining: 0 });
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(changed + 2 * Math.max(changed / 20, windowMs / 20));
    await limiter.reward('window', subject, { cost: 4 });
    expect(await limiter.consume('window', subject)).toMatchObject({ allowed: true, remaining: 3 });
    await limiter.close();
  });
});

describe('an override', () => {
  it.each([
    ['log', { limit: 10_001 }, 'limit'],
    ['slots', { limit: 10_001 }, 'limit'],
    ['slots', { blockMs: 1 }, 'blockMs'],
    ['month', { windowMs: 1_000 }, 'windowMs'],
  ])('of %s by %j is refused: the algorithm cannot have it', async (policy, numbers, field) => {
    const limiter = createLimiter<typeof policies>({ store: memoryStore(), policies, live: true });
    await expect(limiter.live.setOverride({ policy, subject: 'u', ...numbers })).rejects.toMatchObject({
      code: 'invalid_input',
      field,
    });
    await limiter.close();
  });

  it('cuts a lease to the new numbers, and ends that of a policy that blocks', () => {
    const base = definePolicy({ name: 'p', limit: 10, windowMs: 1_000, lease: { size: 8, ttlMs: 500 } });
    const made = withNumbers(base, { limit: 2, windowMs: 100 });
    expect(made.lease).toEqual({ size: 2, ttlMs: 100 });
    expect(withNumbers(base, { blockMs: 5 }).lease).toBeUndefined();
  });

  it('that came before its policy gives no more than the algorithm can have', () => {
    const override = { policy: 'any', subject: 'u', limit: 1_000_000_000, windowMs: 2 ** 31, blockMs: 5 };
    const made = policies.map((policy) => withNumbers(policy, override));
    expect(made.map(({ limit }) => limit)).toEqual([10_000, 1e9, 1e9, 1e9, 10_000, 1e9]);
    expect(made.map(({ blockMs }) => blockMs)).toEqual([5, 5, 5, 5, 0, 5]);
    expect(made[5]?.windowMs).toBe(policies[5]?.windowMs);
    expect(made[3]).toMatchObject({ burst: 2 ** 52 / 2 ** 31 });
  });
});
