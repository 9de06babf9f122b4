import { type RedisServer, startRedis } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LimiterInputError } from './errors.ts';
import { createLimiter } from './limiter/create-limiter.ts';
import type { Limiter } from './limiter/limiter.ts';
import { definePolicy, type PolicyOptions, tiers, withNumbers } from './policy.ts';
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

const plainPolicy = { name: 'p', limit: 2, windowMs: 60_000 } as const;

/** The field that a call complains about. Each `make` is a program without types. */
async function fieldOf(make: () => unknown): Promise<string> {
  try {
    await make();
  } catch (error) {
    if (error instanceof LimiterInputError) return error.field;
    throw error;
  }
  return 'nothing';
}

const untyped = (options: unknown): Limiter =>
  createLimiter(options as { store: never; policies: readonly PolicyOptions[] });

describe('policies as plain objects', () => {
  it('are completed as definePolicy completes them, and count', async () => {
    const limiter = createLimiter({ store: memoryStore(), policies: [plainPolicy] });
    expect(limiter.policies.get('p')).toEqual(definePolicy(plainPolicy));
    const answers = [await limiter.consume('p', 'u'), await limiter.consume('p', 'u'), await limiter.consume('p', 'u')];
    expect(answers.map(({ allowed }) => allowed)).toEqual([true, true, false]);
  });

  it.each([
    plainPolicy,
    { ...plainPolicy, limit: 5_000 },
    { ...plainPolicy, algorithm: 'sliding-window', buckets: 7, lease: { size: 1, ttlMs: 50 } },
    { ...plainPolicy, algorithm: 'token-bucket', burst: 9, blockMs: 5 },
    { ...plainPolicy, algorithm: 'concurrency' },
    { name: 'q', algorithm: 'quota', limit: 3, period: 'month', timeZone: 'Europe/Berlin', nearLimit: 0.5 },
    ...tiers,
  ] as PolicyOptions[])('are the same when defined twice: %j', (options) => {
    const once = definePolicy(options);
    expect(definePolicy(once)).toEqual(once);
  });

  it.each([
    ['no policies', {}, 'policies'],
    ['policies that are no list', { policies: { p: plainPolicy } }, 'policies'],
    ['a policy that is null', { policies: [null] }, 'policy'],
    ['a policy without a name', { policies: [{ limit: 1, windowMs: 1 }] }, 'name'],
    ['a policy without a limit', { policies: [{ name: 'p', windowMs: 1 }] }, 'policy p: limit'],
    ['a limit given as text', { policies: [{ ...plainPolicy, limit: '10' }] }, 'policy p: limit'],
    ['a limit that is NaN', { policies: [{ ...plainPolicy, limit: Number.NaN }] }, 'policy p: limit'],
    ['an endless limit', { policies: [{ ...plainPolicy, limit: Infinity }] }, 'policy p: limit'],
    ['a limit of 2,000,000,000', { policies: [{ ...plainPolicy, limit: 2e9 }] }, 'policy p: limit'],
    ['a window given as text', { policies: [{ ...plainPolicy, windowMs: '60000' }] }, 'policy p: windowMs'],
    ['a policy without a window', { policies: [{ name: 'p', limit: 1 }] }, 'policy p: windowMs'],
    ['a misspelt option of a policy', { policies: [{ ...plainPolicy, blockMS: 5 }] }, 'policy p.blockMS'],
    ['an option of another algorithm', { policies: [{ ...plainPolicy, burst: 5 }] }, 'policy p.burst'],
    [
      'a quota with a window of its own',
      { policies: [{ ...plainPolicy, algorithm: 'quota', period: 'day' }] },
      'policy p: windowMs',
    ],
    [
      'a misspelt option of a lease',
      { policies: [{ ...plainPolicy, lease: { size: 1, ttlMs: 50, ttl: 1 } }] },
      'policy p: lease.ttl',
    ],
    ['a misspelt option of the limiter', { policies: [plainPolicy], deadlineMS: 5 }, 'options.deadlineMS'],
    ['Redis and a store', { policies: [plainPolicy], redis: {} }, 'store'],
    [
      'a misspelt option of the cache',
      { policies: [plainPolicy], store: undefined, redis: 'redis://127.0.0.1:1', denyCache: { maxEntries: 1, max: 1 } },
      'denyCache.max',
    ],
    ['a misspelt option of the live policies', { policies: [plainPolicy], live: { keys: 'x' } }, 'live.keys'],
  ])('are refused with the name of the field: %s', async (_name, options, field) => {
    expect(await fieldOf(() => untyped({ store: memoryStore(), ...options }))).toBe(field);
  });

  it('are refused with the name of the field when they are set live', async () => {
    const { live } = createLimiter({ store: memoryStore(), policies: [plainPolicy], live: true });
    const set = (options: unknown) => fieldOf(() => live.setPolicy(options as PolicyOptions));
    expect(await set({ ...plainPolicy, limit: '3' })).toBe('policy p: limit');
    expect(await set({ ...plainPolicy, max: 3 })).toBe('policy p.max');
    expect(await set(undefined)).toBe('policy');
    const override = (options: unknown) =>
      fieldOf(() => live.setOverride(options as { policy: string; subject: string }));
    expect(await override({ policy: 'p', subject: 'u', max: 3 })).toBe('override.max');
    expect(await override({ policy: 'p', subject: 'u', limit: '3' })).toBe('limit');
    expect(await override(undefined)).toBe('override');
  });

  it('round a fraction of a millisecond up', () => {
    expect(definePolicy({ ...plainPolicy, windowMs: 1.1 * 3 * 1000 }).windowMs).toBe(3_301);
  });
});

describe('every operation', () => {
  const limiter = createLimiter({
    store: memoryStore(),
    policies: [plainPolicy, { ...plainPolicy, name: 'slots', algorithm: 'concurrency' }],
  }) as unknown as Record<string, (...input: unknown[]) => Promise<unknown>>;
  const operations = ['consume', 'peek', 'penalize', 'reward', 'reset', 'block', 'unblock'] as const;

  it.each([...operations, 'waitFor', 'acquire'])('%s refuses options that are none', async (operation) => {
    const policy = operation === 'acquire' ? 'slots' : 'p';
    for (const options of [3, 'x', null, [1]]) {
      expect(await fieldOf(() => limiter[operation]?.(policy, 'u', options))).toBe('options');
    }
    expect(await fieldOf(() => limiter[operation]?.(policy, 'u', { costs: 3 }))).toBe('options.costs');
    expect(await fieldOf(() => limiter[operation]?.(policy, 'u', { maxWaitMs: 0, action: 5 }))).toMatch(
      /action|maxWaitMs/,
    );
  });

  it.each([...operations, 'waitFor', 'acquire'])('%s refuses a subject that is none', async (operation) => {
    const policy = operation === 'acquire' ? 'slots' : 'p';
    const options = operation === 'waitFor' ? { maxWaitMs: 0 } : {};
    for (const subject of ['', 5, undefined, 'a\0b', 'a\uD800']) {
      expect(await fieldOf(() => limiter[operation]?.(policy, subject, options))).toBe('subject');
    }
  });

  it('refuses a release without options, slots or sense', async () => {
    expect(await fieldOf(() => limiter['release']?.('slots', 'u', 'abc'))).toBe('slot');
    expect(await fieldOf(() => limiter['release']?.('slots', 'u', 'abcdefgh', 5))).toBe('options');
    expect(await fieldOf(() => limiter['release']?.('p', 'u', 'abcdefgh'))).toBe('policy');
    expect(await fieldOf(() => limiter['consumeAll']?.([{ policy: 'p', subject: 'u', cots: 1 }]))).toBe(
      'requests.cots',
    );
    expect(await fieldOf(() => limiter['consumeAll']?.([null]))).toBe('requests');
  });

  it('takes a penalty or a refund of more units than the limit', async () => {
    expect(await limiter['penalize']?.('p', 'fined', { cost: 500 })).toMatchObject({ remaining: 0 });
    expect(await limiter['reward']?.('p', 'fined', { cost: 500 })).toMatchObject({ remaining: 2 });
    expect(await fieldOf(() => limiter['penalize']?.('p', 'fined', { cost: 0 }))).toBe('cost');
  });
});
