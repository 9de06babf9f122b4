import { type RedisServer, startRedis } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { memoryUnderTest, redisUnderTest, type StoreUnderTest } from '../../test/hand-clock.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy, type PolicyOptions } from '../policy.ts';

const START = Date.parse('2026-03-28T12:00:00Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const algorithms = ['sliding-log', 'sliding-window', 'fixed-window', 'token-bucket'] as const;

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const policyOf = (options: Partial<PolicyOptions>) =>
  definePolicy({ name: 'p', limit: 4, windowMs: MINUTE, ...options } as PolicyOptions);

const optionsOf = (algorithm: (typeof algorithms)[number] | 'concurrency' | 'quota'): Partial<PolicyOptions> =>
  (algorithm === 'quota' ? { algorithm, period: 'day', windowMs: undefined } : { algorithm }) as Partial<PolicyOptions>;

// A policy that is changed while it runs meets the windows of the one before: here each is a limiter of its own on the same store.
const limiterOf = (under: StoreUnderTest, options: Partial<PolicyOptions>): Limiter =>
  createLimiter({ store: under.store, policies: [policyOf(options)] });

describe.each([
  ['memory', async () => memoryUnderTest()],
  ['redis', () => redisUnderTest(server.url)],
] as const)('a window that is changed while in use, on the %s store', (_name, open) => {
  let under: StoreUnderTest;
  beforeAll(async () => {
    under = await open();
    await under.setNow(START);
  });
  afterAll(() => under.dispose());

  it.each([
    ['longer', HOUR],
    ['shorter', 40_000],
  ])('keeps what a fixed window has used, and ends by the %s one', async (subject, windowMs) => {
    await under.setNow(START);
    await limiterOf(under, { algorithm: 'fixed-window' }).consume('p', subject, { cost: 3 });
    const changed = limiterOf(under, { algorithm: 'fixed-window', windowMs });
    await under.setNow(START + 30_000);
    const resetAfterMs = windowMs - 30_000;
    expect(await changed.consume('p', subject)).toMatchObject({ allowed: true, remaining: 0, resetAfterMs });
    expect(await changed.consume('p', subject)).toMatchObject({ allowed: false, retryAfterMs: resetAfterMs });
    await under.setNow(START + windowMs);
    expect(await changed.consume('p', subject)).toMatchObject({ allowed: true, remaining: 3 });
  });

  it.each([
    [100, 21, 38],
    [100, 22, 59],
    [36, 17, 0],
    [36, 18, 17],
  ])(
    'made longer, a log of %i counts %i units again that had left, unless they were cut off',
    async (limit, gone, left) => {
      const subject = `log of ${limit} after ${gone}`;
      const log = limiterOf(under, { limit });
      await under.setNow(START);
      await log.consume('p', subject, { cost: gone });
      await under.setNow(START + 30_000);
      await log.consume('p', subject, { cost: limit === 100 ? 40 : 18 });
      await under.setNow(START + MINUTE);
      expect(await log.consume('p', subject)).toMatchObject({ remaining: limit === 100 ? 59 : 17 });
      expect((await limiterOf(under, { limit, windowMs: HOUR }).peek('p', subject)).remaining).toBe(left);
    },
  );

  it.each([
    ['longer', HOUR],
    ['shorter', 4_000],
  ])('keeps the tokens that a bucket has, and refills by the %s one', async (change, windowMs) => {
    const subject = `bucket ${change}`;
    await under.setNow(START);
    await limiterOf(under, { algorithm: 'token-bucket' }).consume('p', subject, { cost: 3 });
    const changed = limiterOf(under, { algorithm: 'token-bucket', windowMs });
    expect(await changed.peek('p', subject)).toMatchObject({ remaining: 1 });
    expect(await changed.consume('p', subject)).toMatchObject({ allowed: true, remaining: 0, resetAfterMs: windowMs });
    expect(await changed.consume('p', subject)).toMatchObject({ allowed: false, retryAfterMs: windowMs / 4 });
    await under.setNow(START + windowMs / 4);
    expect(await changed.consume('p', subject)).toMatchObject({ allowed: true, remaining: 0 });
  });
});

describe('a window that is changed while in use', () => {
  it('gets the same answers from both stores, whenever it changes', { timeout: 60_000 }, async () => {
    const stores = [await redisUnderTest(server.url), memoryUnderTest()];
    const windowMs = fc.constantFrom(1_000, 7_001, MINUTE, HOUR);
    const step = fc.record({
      windowMs,
      cost: fc.integer({ min: 1, max: 3 }),
      waitMs: fc.integer({ min: 0, max: 30_000 }),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('fixed-window' as const, 'token-bucket' as const),
        fc.array(step, { minLength: 3, maxLength: 15 }),
        async (algorithm, steps) => {
          const subject = `history-${(run += 1)}`;
          const histories = [];
          for (const under of stores) {
            const history: unknown[] = [];
            let now = START;
            for (const { waitMs, cost, ...changed } of steps) {
              await under.setNow((now += waitMs));
              history.push(await limiterOf(under, { algorithm, ...changed }).consume('p', subject, { cost }));
            }
            histories.push(history);
          }
          expect(histories[0]).toEqual(histories[1]);
        },
      ),
      { numRuns: 150 },
    );
    for (const under of stores) await under.dispose();
  });

  const each = [...algorithms, 'concurrency', 'quota'] as const;
  const changes = each.flatMap((before) => each.map((after) => [before, after] as const));
  it.each(changes)('is decided by Redis whatever it held: %s becomes %s', async (before, after) => {
    const under = await redisUnderTest(server.url);
    await under.setNow(START);
    for (const units of [1, 2, 3]) {
      const subject = `${before} ${after} ${units}`;
      for (let unit = 0; unit < units; unit += 1) await limiterOf(under, optionsOf(before)).consume('p', subject);
      const changed = limiterOf(under, optionsOf(after));
      for (const decision of [
        await changed.consume('p', subject),
        (await changed.consumeAll([{ policy: 'p', subject }])).decisions[0],
      ]) {
        expect(decision, `${units} units`).toMatchObject({ reason: expect.stringMatching(/^(?:allowed|limited)$/u) });
      }
    }
    await under.dispose();
  });

  // By the server's own clock: the hand-turned one lengthens each time to live.
  it.each(algorithms)('outlives the shorter one in Redis once it has refused: %s', async (algorithm) => {
    const redis = new Redis(server.url, hotPathOptions);
    await vi.waitUntil(() => redis.status === 'ready');
    const make = (windowMs: number): Limiter =>
      createLimiter({ redis, policies: [policyOf({ algorithm, windowMs })], deadlineMs: 5_000 });
    await redis.flushall();
    await make(MINUTE).consume('p', 'u', { cost: 4 });
    const { allowed, resetAfterMs } = await make(HOUR).consume('p', 'u');
    expect({ allowed, long: resetAfterMs > HOUR / 2 }).toEqual({ allowed: false, long: true });
    const [key = ''] = await redis.keys('*:w:*');
    expect(await redis.pttl(key)).toBeGreaterThan(HOUR / 2);
    redis.disconnect();
  });
});
