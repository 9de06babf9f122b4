import { describe, expect, it } from 'vitest';
import { LimiterInputError } from './errors.ts';
import { createLimiter } from './limiter/create-limiter.ts';
import type { Limiter } from './limiter/limiter.ts';
import { definePolicy, type PolicyOptions, tiers } from './policy.ts';
import { memoryStore } from './store/memory-store.ts';

const plain = { name: 'p', limit: 2, windowMs: 60_000 } as const;

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
    const limiter = createLimiter({ store: memoryStore(), policies: [plain] });
    expect(limiter.policies.get('p')).toEqual(definePolicy(plain));
    const answers = [await limiter.consume('p', 'u'), await limiter.consume('p', 'u'), await limiter.consume('p', 'u')];
    expect(answers.map(({ allowed }) => allowed)).toEqual([true, true, false]);
  });

  it.each([
    plain,
    { ...plain, limit: 5_000 },
    { ...plain, algorithm: 'sliding-window', buckets: 7, lease: { size: 1, ttlMs: 50 } },
    { ...plain, algorithm: 'token-bucket', burst: 9, blockMs: 5 },
    { ...plain, algorithm: 'concurrency' },
    { name: 'q', algorithm: 'quota', limit: 3, period: 'month', timeZone: 'Europe/Berlin', nearLimit: 0.5 },
    ...tiers,
  ] as PolicyOptions[])('are the same when defined twice: %j', (options) => {
    const once = definePolicy(options);
    expect(definePolicy(once)).toEqual(once);
  });

  it.each([
    ['no policies', {}, 'policies'],
    ['policies that are no list', { policies: { p: plain } }, 'policies'],
    ['a policy that is null', { policies: [null] }, 'policy'],
    ['a policy without a name', { policies: [{ limit: 1, windowMs: 1 }] }, 'name'],
    ['a policy without a limit', { policies: [{ name: 'p', windowMs: 1 }] }, 'policy p: limit'],
    ['a limit given as text', { policies: [{ ...plain, limit: '10' }] }, 'policy p: limit'],
    ['a limit that is NaN', { policies: [{ ...plain, limit: Number.NaN }] }, 'policy p: limit'],
    ['an endless limit', { policies: [{ ...plain, limit: Infinity }] }, 'policy p: limit'],
    ['a limit of 2,000,000,000', { policies: [{ ...plain, limit: 2e9 }] }, 'policy p: limit'],
    ['a window given as text', { policies: [{ ...plain, windowMs: '60000' }] }, 'policy p: windowMs'],
    ['a policy without a window', { policies: [{ name: 'p', limit: 1 }] }, 'policy p: windowMs'],
    ['a misspelt option of a policy', { policies: [{ ...plain, blockMS: 5 }] }, 'policy p.blockMS'],
    ['an option of another algorithm', { policies: [{ ...plain, burst: 5 }] }, 'policy p.burst'],
    [
      'a quota with a window of its own',
      { policies: [{ ...plain, algorithm: 'quota', period: 'day' }] },
      'policy p: windowMs',
    ],
    [
      'a misspelt option of a lease',
      { policies: [{ ...plain, lease: { size: 1, ttlMs: 50, ttl: 1 } }] },
      'policy p: lease.ttl',
    ],
    ['a misspelt option of the limiter', { policies: [plain], deadlineMS: 5 }, 'options.deadlineMS'],
    ['Redis and a store', { policies: [plain], redis: {} }, 'store'],
    [
      'a misspelt option of the cache',
      { policies: [plain], store: undefined, redis: 'redis://127.0.0.1:1', denyCache: { maxEntries: 1, max: 1 } },
      'denyCache.max',
    ],
    ['a misspelt option of the live policies', { policies: [plain], live: { keys: 'x' } }, 'live.keys'],
  ])('are refused with the name of the field: %s', async (_name, options, field) => {
    expect(await fieldOf(() => untyped({ store: memoryStore(), ...options }))).toBe(field);
  });

  it('are refused with the name of the field when they are set live', async () => {
    const { live } = createLimiter({ store: memoryStore(), policies: [plain], live: true });
    const set = (options: unknown) => fieldOf(() => live.setPolicy(options as PolicyOptions));
    expect(await set({ ...plain, limit: '3' })).toBe('policy p: limit');
    expect(await set({ ...plain, max: 3 })).toBe('policy p.max');
    expect(await set(undefined)).toBe('policy');
    const override = (options: unknown) =>
      fieldOf(() => live.setOverride(options as { policy: string; subject: string }));
    expect(await override({ policy: 'p', subject: 'u', max: 3 })).toBe('override.max');
    expect(await override({ policy: 'p', subject: 'u', limit: '3' })).toBe('limit');
    expect(await override(undefined)).toBe('override');
  });

  it('round a fraction of a millisecond up', () => {
    expect(definePolicy({ ...plain, windowMs: 1.1 * 3 * 1000 }).windowMs).toBe(3_301);
  });
});

describe('every operation', () => {
  const limiter = createLimiter({
    store: memoryStore(),
    policies: [plain, { ...plain, name: 'slots', algorithm: 'concurrency' }],
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
