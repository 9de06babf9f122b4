import { type RedisServer, startRedis } from '@spillway/local-servers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memoryUnderTest, redisUnderTest, type StoreUnderTest } from '../../test/hand-clock.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import type { PolicyOptions } from '../policy.ts';

const START = Date.parse('2026-03-28T12:00:00Z');
const MINUTE = 60_000;

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

describe.each([
  ['memory', async () => memoryUnderTest()],
  ['redis', () => redisUnderTest(server.url)],
] as const)('on the %s store', (_name, open) => {
  let under: StoreUnderTest;
  let run = 0;
  beforeAll(async () => {
    under = await open();
  });
  afterAll(() => under.dispose());
  const limiterOf = (policy: PolicyOptions): Limiter => createLimiter({ store: under.store, policies: [policy] });

  it('slow requests that fail give back their own units, not those of later ones', async () => {
    const limiter = limiterOf({ name: 'p', limit: 4, windowMs: 2_000 });
    const ask = async (at: number, count: number): Promise<number> => {
      await under.setNow(START + at);
      let admitted = 0;
      for (let one = 0; one < count; one += 1) admitted += (await limiter.consume('p', 'u')).allowed ? 1 : 0;
      return admitted;
    };
    expect([await ask(0, 2), await ask(1_850, 2)]).toEqual([2, 2]);
    await limiter.reward('p', 'u', { cost: 2 });
    expect([await ask(1_860, 4), await ask(2_045, 4)]).toEqual([2, 0]);
  });

  it.each(['sliding-log', 'sliding-window'] as const)(
    '%s never lets more than the limit succeed in any trailing window, whatever is given back',
    { timeout: 60_000 },
    async (algorithm) => {
      const step = fc.record({ waitMs: fc.integer({ min: 0, max: 20_000 }), fails: fc.boolean(), pick: fc.nat() });
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 8 }),
          fc.array(step, { minLength: 5, maxLength: 60 }),
          async (limit, steps) => {
            const subject = `run-${(run += 1)}`;
            const limiter = limiterOf({ name: 'p', algorithm, limit, windowMs: MINUTE });
            let running: number[] = [];
            let now = START;
            for (const { waitMs, fails, pick } of steps) {
              await under.setNow((now += waitMs));
              if (fails && running.length > 0) {
                // Any that was admitted, however long ago, fails now and gives its unit back.
                running = running.filter((_at, index) => index !== pick % running.length);
                await limiter.reward('p', subject);
              } else if ((await limiter.consume('p', subject)).allowed) running.push(now);
              for (const end of running) {
                expect(running.filter((at) => at > end - MINUTE && at <= end).length).toBeLessThanOrEqual(limit);
              }
            }
          },
        ),
        { numRuns: 100 },
      );
    },
  );

  it.each([
    { name: 'p', limit: 5, windowMs: MINUTE },
    { name: 'p', algorithm: 'sliding-window', limit: 5, windowMs: MINUTE },
    { name: 'p', algorithm: 'fixed-window', limit: 5, windowMs: MINUTE },
    { name: 'p', algorithm: 'token-bucket', limit: 5, windowMs: MINUTE },
    { name: 'p', algorithm: 'quota', limit: 5, period: 'day' },
    { name: 'p', algorithm: 'concurrency', limit: 5, windowMs: MINUTE },
  ] as const)('penalties fill a window up to twice its limit and no further: %j', async (policy) => {
    await under.setNow(START);
    const subject = `fined ${policy.name} ${(run += 1)}`;
    const limiter = limiterOf(policy);
    for (let fine = 0; fine < 20; fine += 1) await limiter.penalize('p', subject, { cost: 900_000_000 });
    expect(await limiter.peek('p', subject)).toMatchObject({ allowed: false, remaining: 0 });
    if (policy.algorithm === 'concurrency') return;
    await limiter.reward('p', subject, { cost: 5 });
    expect(await limiter.peek('p', subject)).toMatchObject({ allowed: false });
    await limiter.reward('p', subject, { cost: 1 });
    expect(await limiter.peek('p', subject)).toMatchObject({ allowed: true, remaining: 1 });
  });

  it.each(['sliding-log', 'sliding-window', 'fixed-window', 'token-bucket', 'concurrency'] as const)(
    'a window may be a year long: %s',
    async (algorithm) => {
      const year = 365 * 86_400_000;
      const subject = `patient ${algorithm}`;
      const limiter = limiterOf({ name: 'p', algorithm, limit: 2, windowMs: year });
      await under.setNow(START);
      await limiter.consume('p', subject);
      await under.setNow(START + year / 2);
      const second = await limiter.consume('p', subject);
      expect(second).toMatchObject({ allowed: true, remaining: algorithm === 'token-bucket' ? 1 : 0 });
      if (algorithm === 'token-bucket') await limiter.consume('p', subject);
      const { allowed, retryAfterMs } = await limiter.consume('p', subject);
      expect(allowed).toBe(false);
      expect(retryAfterMs).toBeGreaterThan(year / 4);
      await under.setNow(START + year / 2 + retryAfterMs - 1);
      expect((await limiter.peek('p', subject)).allowed).toBe(false);
      await under.setNow(START + year / 2 + retryAfterMs);
      expect((await limiter.consume('p', subject)).allowed).toBe(true);
    },
  );

  it('a block that was only watched refuses nobody once the policy enforces', async () => {
    const watched = { name: 'p', limit: 1, windowMs: 1_000, blockMs: 10 * MINUTE } as const;
    for (const algorithm of ['sliding-log', 'sliding-window', 'fixed-window', 'token-bucket'] as const) {
      const subject = `watched ${algorithm}`;
      await under.setNow(START);
      const watching = limiterOf({ ...watched, algorithm, mode: 'shadow' });
      await watching.consume('p', subject);
      expect(await watching.consume('p', subject)).toMatchObject({ allowed: true, reason: 'shadow' });
      await under.setNow(START + 3_000);
      expect(await watching.peek('p', subject)).toMatchObject({ allowed: true, reason: 'shadow' });
      const enforcing = limiterOf({ ...watched, algorithm });
      expect(await enforcing.peek('p', subject)).toMatchObject({ reason: 'allowed' });
      expect(await enforcing.consume('p', subject)).toMatchObject({ reason: 'allowed' });
      expect(await enforcing.consume('p', subject)).toMatchObject({ allowed: false, reason: 'blocked' });
    }
  });
});
