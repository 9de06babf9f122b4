import { type RedisServer, startRedis } from '@spillway/local-servers';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { memoryUnderTest, redisUnderTest, type StoreUnderTest } from '../../test/hand-clock.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy, type PolicyOptions } from '../policy.ts';

const START = Date.parse('2026-03-28T12:00:00Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

interface Admitted {
  readonly at: number;
  readonly cost: number;
}

const sumWithin = (admitted: readonly Admitted[], from: number, to: number): number =>
  admitted.filter(({ at }) => at > from && at <= to).reduce((sum, { cost }) => sum + cost, 0);

describe.each([
  ['memory', async () => memoryUnderTest()],
  ['redis', () => redisUnderTest(server.url)],
] as const)('on the %s store', (_name, open) => {
  let under: StoreUnderTest;
  let run = 0;
  beforeAll(async () => {
    under = await open();
  });
  beforeEach(async () => {
    await under.clear();
    await under.setNow(START);
  });
  afterAll(() => under.dispose());

  const limiterOf = (options: PolicyOptions): Limiter =>
    createLimiter({ store: under.store, policies: [definePolicy(options)] });

  it.each([1, 15, 21, 22, 23, 50, 99, 100])('%i of the 100 units of a log leave, later all do', async (gone) => {
    const limiter = limiterOf({ name: 'p', limit: 100, windowMs: MINUTE, algorithm: 'sliding-log' });
    for (let unit = 0; unit < 100; unit += 1) {
      await under.setNow(START + 10 * unit);
      await limiter.consume('p', 'u');
    }
    const first = { at: START + MINUTE + 10 * (gone - 1), left: gone, wait: gone < 100 ? 10 : MINUTE };
    for (const { at, left, wait } of [first, { at: first.at + MINUTE, left: 100, wait: MINUTE }]) {
      await under.setNow(at);
      for (let free = left - 1; free >= 0; free -= 1)
        expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: true, remaining: free });
      expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: false, retryAfterMs: wait });
    }
  });

  it('each answer says when it was decided, by the clock of the store', async () => {
    const limiter: Limiter = createLimiter({
      store: under.store,
      policies: [
        { name: 'p', limit: 10, windowMs: MINUTE },
        { name: 'blocking', limit: 3, windowMs: MINUTE, blockMs: 5 * MINUTE },
      ],
    });
    await limiter.consume('blocking', 'u', { cost: 3 });
    await limiter.block('blocking', 'endless');
    await under.setNow(START + 12_345);
    const answers = [
      ...(await limiter.consumeAll(['p', 'blocking'].map((policy) => ({ policy, subject: 'u' })))).decisions,
      await limiter.consume('p', 'u', { cost: 8 }),
      await limiter.consume('p', 'u', { cost: 8 }),
      await limiter.consume('blocking', 'endless'),
      await limiter.peek('p', 'u'),
      await limiter.reward('p', 'u'),
    ];
    const reasons = ['withheld', 'blocked', 'allowed', 'limited', 'blocked', 'allowed', 'allowed'];
    expect(answers.map(({ reason }) => reason)).toEqual(reasons);
    expect(answers.map(({ decidedAtMs }) => decidedAtMs)).toEqual(reasons.map(() => START + 12_345));
  });

  /** Lets random traffic loose on a policy and hands what it admitted, and each refusal with its advice, to `check`. */
  async function traffic(
    makePolicy: (limit: number, windowMs: number) => PolicyOptions,
    check: (admitted: readonly Admitted[], now: number, limit: number, windowMs: number) => void,
  ): Promise<void> {
    const step = fc.record({ waitShare: fc.double({ min: 0, max: 0.5, noNaN: true }), cost: fc.integer({ min: 1 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 40, max: HOUR }),
        fc.array(step, { minLength: 5, maxLength: 50 }),
        async (limit, windowMs, steps) => {
          const subject = `run-${(run += 1)}`;
          const limiter = limiterOf(makePolicy(limit, windowMs));
          const admitted: Admitted[] = [];
          let now = START;
          for (const { waitShare, cost: wanted } of steps) {
            now += Math.round(waitShare * windowMs);
            await under.setNow(now);
            const cost = 1 + (wanted % limit);
            const decision = await limiter.consume('p', subject, { cost });
            const { allowed, retryAfterMs, remaining } = decision;
            expect([decision.decidedAtMs, decision.resetAtMs]).toEqual([now, now + decision.resetAfterMs]);
            if (allowed) admitted.push({ at: now, cost });
            else {
              expect(remaining).toBeLessThan(cost);
              // The advice is exact: a moment earlier it does not fit, then it does.
              await under.setNow(now + retryAfterMs - 1);
              expect((await limiter.peek('p', subject, { cost })).allowed).toBe(false);
              await under.setNow(now + retryAfterMs);
              expect((await limiter.peek('p', subject, { cost })).allowed).toBe(true);
            }
            check(admitted, now, limit, windowMs);
          }
        },
      ),
      { numRuns: 60 },
    );
  }

  it('sliding-window never admits more than the limit in any trailing window', { timeout: 60_000 }, async () => {
    await traffic(
      (limit, windowMs) => ({ name: 'p', algorithm: 'sliding-window', limit, windowMs, buckets: 10 }),
      (admitted, now, limit, windowMs) => {
        expect(sumWithin(admitted, now - windowMs, now)).toBeLessThanOrEqual(limit);
      },
    );
  });

  it('sliding-window frees a unit at most one bucket late', async () => {
    const limiter = limiterOf({ name: 'p', algorithm: 'sliding-window', limit: 1, windowMs: MINUTE, buckets: 20 });
    await limiter.consume('p', 'u');
    const { retryAfterMs } = await limiter.consume('p', 'u');
    expect(retryAfterMs).toBeGreaterThanOrEqual(MINUTE);
    expect(retryAfterMs).toBeLessThanOrEqual(MINUTE + MINUTE / 20);
  });

  it('sliding-window keeps what was used when its window is made longer or shorter', async () => {
    const used = limiterOf({ name: 'p', algorithm: 'sliding-window', limit: 10, windowMs: MINUTE, buckets: 6 });
    await used.consume('p', 'u', { cost: 3 });
    await under.setNow(START + 25_000);
    await used.consume('p', 'u', { cost: 2 });
    const hour = limiterOf({ name: 'p', algorithm: 'sliding-window', limit: 10, windowMs: HOUR, buckets: 6 });
    const longer = await hour.consume('p', 'u');
    expect(longer).toMatchObject({ allowed: true, remaining: 4 });
    expect(longer.resetAfterMs).toBeGreaterThanOrEqual(HOUR);
    expect(longer.resetAfterMs).toBeLessThanOrEqual(HOUR + HOUR / 6);
    expect(await hour.consume('p', 'u')).toMatchObject({ remaining: 3 });
    const again = await used.consume('p', 'u');
    expect(again).toMatchObject({ allowed: true, remaining: 2 });
    expect(again.resetAfterMs).toBeLessThanOrEqual(MINUTE + MINUTE / 6);
    await under.setNow(START + 25_000 + 2 * MINUTE);
    expect(await used.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 9 });
  });

  it('fixed-window admits at most the limit in each of its windows', { timeout: 60_000 }, async () => {
    await traffic(
      (limit, windowMs) => ({ name: 'p', algorithm: 'fixed-window', limit, windowMs }),
      (admitted, now, limit, windowMs) => {
        // Windows begin with the first unit after the last one ended.
        let start = -Infinity;
        let units = 0;
        for (const { at, cost } of admitted) {
          if (at >= start + windowMs) [start, units] = [at, 0];
          units += cost;
          expect(units).toBeLessThanOrEqual(limit);
        }
        expect(sumWithin(admitted, now - windowMs, now)).toBeLessThanOrEqual(2 * limit);
      },
    );
  });

  it('token-bucket admits at most burst + T·limit/window in any stretch of time T', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 40, max: HOUR }),
        fc.array(fc.double({ min: 0, max: 0.3, noNaN: true }), { minLength: 5, maxLength: 60 }),
        async (limit, windowMs, waits) => {
          const subject = `run-${(run += 1)}`;
          const burst = Math.ceil(limit / 3);
          const limiter = limiterOf({ name: 'p', algorithm: 'token-bucket', limit, windowMs, burst });
          const admitted: Admitted[] = [];
          let now = START;
          for (const wait of waits) {
            now += Math.round(wait * windowMs);
            await under.setNow(now);
            const decision = await limiter.consume('p', subject);
            expect(decision.remaining).toBeLessThanOrEqual(burst);
            if (decision.allowed) admitted.push({ at: now, cost: 1 });
          }
          admitted.forEach(({ at: from }, first) =>
            admitted.slice(first).forEach(({ at: to }) => {
              const bound = burst + ((to - from) * limit) / windowMs;
              expect(sumWithin(admitted, from - 1, to)).toBeLessThanOrEqual(bound);
            }),
          );
        },
      ),
      { numRuns: 60 },
    );
  });

  it('token-bucket says exactly when a request fits again', { timeout: 60_000 }, async () => {
    await traffic(
      (limit, windowMs) => ({ name: 'p', algorithm: 'token-bucket', limit, windowMs }),
      (admitted, now, limit, windowMs) => {
        expect(sumWithin(admitted, now - windowMs, now)).toBeLessThanOrEqual(2 * limit);
      },
    );
  });

  it('quota admits at most the limit in each day of its time zone, the short one too', async () => {
    // In Berlin the 29th of March 2026 has 23 hours: from 23:00Z on the 28th to 22:00Z on the 29th.
    const limiter = limiterOf({ name: 'p', algorithm: 'quota', limit: 3, period: 'day', timeZone: 'Europe/Berlin' });
    const at = async (time: string) => {
      await under.setNow(Date.parse(time));
      return limiter.consume('p', 'u');
    };
    expect(await at('2026-03-28T22:59:59.999Z')).toMatchObject({ allowed: true, remaining: 2, resetAfterMs: 1 });
    for (const remaining of [2, 1, 0]) {
      expect(await at('2026-03-28T23:00:00.000Z')).toMatchObject({ remaining, resetAfterMs: 23 * HOUR });
    }
    expect(await at('2026-03-29T21:59:59.999Z')).toMatchObject({ allowed: false, retryAfterMs: 1 });
    expect(await at('2026-03-29T22:00:00.000Z')).toMatchObject({ allowed: true, remaining: 2 });
  });

  it('quota counts months by the calendar', async () => {
    const limiter = limiterOf({ name: 'p', algorithm: 'quota', limit: 2, period: 'month' });
    await under.setNow(Date.parse('2028-02-29T23:59:59Z'));
    await limiter.consume('p', 'u', { cost: 2 });
    expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: false, retryAfterMs: 1_000 });
    await under.setNow(Date.parse('2028-03-01T00:00:00Z'));
    expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: true, remaining: 1 });
  });

  it('quota goes by the store’s clock, however far it is from ours', async () => {
    const limiter = limiterOf({ name: 'p', algorithm: 'quota', limit: 1, period: 'day' });
    for (const time of ['2001-05-05T05:00:00Z', '2099-05-05T05:00:00Z']) {
      await under.setNow(Date.parse(time));
      expect(await limiter.consume('p', time)).toMatchObject({ allowed: true, resetAfterMs: 19 * HOUR });
      expect(await limiter.consume('p', time)).toMatchObject({ allowed: false });
    }
  });

  it('concurrency never lets more than the limit hold a slot at once', { timeout: 60_000 }, async () => {
    const step = fc.record({
      what: fc.constantFrom('take', 'release', 'wait'),
      pick: fc.nat(),
      waitShare: fc.double({ min: 0, max: 0.7, noNaN: true }),
    });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 8 }), fc.array(step, { maxLength: 60 }), async (limit, steps) => {
        const subject = `run-${(run += 1)}`;
        const limiter = limiterOf({ name: 'p', algorithm: 'concurrency', limit, windowMs: MINUTE });
        let held: { slot: string; until: number }[] = [];
        let now = START;
        for (const { what, pick, waitShare } of steps) {
          if (what === 'wait') now += Math.round(waitShare * MINUTE);
          await under.setNow(now);
          held = held.filter(({ until }) => until > now);
          if (what === 'take') {
            const decision = await limiter.consume('p', subject);
            expect(decision.allowed).toBe(held.length < limit);
            expect(decision.remaining).toBe(Math.max(0, limit - held.length - 1));
            if (decision.slot !== undefined) held.push({ slot: decision.slot, until: now + MINUTE });
          }
          const chosen = held[pick % Math.max(1, held.length)];
          if (what === 'release' && chosen !== undefined) {
            await limiter.release('p', subject, chosen.slot);
            held = held.filter((one) => one !== chosen);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('concurrency frees the slots of a holder that has died after the window, and not before', async () => {
    const limiter = limiterOf({ name: 'p', algorithm: 'concurrency', limit: 1, windowMs: MINUTE });
    await limiter.consume('p', 'u');
    expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: false, retryAfterMs: MINUTE });
    await under.setNow(START + MINUTE - 1);
    expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: false, retryAfterMs: 1 });
    await under.setNow(START + MINUTE);
    expect(await limiter.consume('p', 'u')).toMatchObject({ allowed: true });
  });

  it('concurrency gives slots back once, however often it is asked', async () => {
    const limiter = limiterOf({ name: 'p', algorithm: 'concurrency', limit: 2, windowMs: MINUTE });
    const [first, second] = [await limiter.consume('p', 'u'), await limiter.consume('p', 'u')];
    for (let time = 0; time < 3; time += 1) await limiter.release('p', 'u', first.slot ?? '');
    expect(await limiter.peek('p', 'u')).toMatchObject({ allowed: true, remaining: 1 });
    await limiter.release('p', 'u', second.slot ?? '');
    expect(await limiter.peek('p', 'u')).toMatchObject({ remaining: 2 });
  });
});
