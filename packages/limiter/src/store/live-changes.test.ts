import { type RedisServer, startRedis } from '@spillway/local-servers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memoryUnderTest, redisUnderTest, type StoreUnderTest } from '../../test/hand-clock.ts';
import { capacityOf } from '../algorithms/algorithm.ts';
import type { Policy } from '../algorithms/registry.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy, type PolicyOptions } from '../policy.ts';

const START = Date.parse('2026-03-28T12:00:00Z');
const MINUTE = 60_000;
const DAY = 86_400_000;

let server: RedisServer;
let redis: StoreUnderTest;
const memory = memoryUnderTest();
beforeAll(async () => {
  server = await startRedis();
  redis = await redisUnderTest(server.url);
});
afterAll(async () => {
  await redis.dispose();
  await server.stop();
});

const limit = fc.constantFrom(1, 2, 4, 7, 12);
const common = {
  name: fc.constant('p'),
  limit,
  blockMs: fc.constantFrom(0, 0, 5_000, 70_000),
  mode: fc.constantFrom('enforce' as const, 'enforce' as const, 'shadow' as const),
};
const windowMs = fc.constantFrom(1_000, 7_001, MINUTE, 10 * MINUTE);
/** Policies of every algorithm with all their parameters: each is what a live change may make of the one before. */
const anyPolicy: fc.Arbitrary<Policy> = fc
  .oneof(
    fc.record({ ...common, windowMs, algorithm: fc.constantFrom('sliding-log' as const, 'fixed-window' as const) }),
    fc.record({
      ...common,
      windowMs,
      algorithm: fc.constant('sliding-window' as const),
      buckets: fc.constantFrom(2, 6, 20),
    }),
    fc.record({ ...common, windowMs, algorithm: fc.constant('token-bucket' as const), burst: limit }),
    fc.record({
      ...common,
      algorithm: fc.constant('quota' as const),
      period: fc.constantFrom('day' as const, 'month' as const),
      timeZone: fc.constantFrom('UTC', 'Asia/Kathmandu', 'America/Los_Angeles'),
    }),
  )
  .map((options) => definePolicy(options as PolicyOptions));

const cost = fc.integer({ min: 1, max: 3 });
type Step =
  | { readonly kind: 'change'; readonly policy: Policy }
  | { readonly kind: 'consume' | 'peek' | 'reward' | 'penalize'; readonly cost: number }
  | { readonly kind: 'block' }
  | { readonly kind: 'unblock' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'time'; readonly ms: number };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('change' as const), policy: anyPolicy }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('consume' as const), cost }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('peek' as const, 'reward' as const, 'penalize' as const), cost }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Step>({ kind: 'block' }, { kind: 'unblock' }, { kind: 'reset' }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: -9_000, max: 80_000 }) }),
  },
);

let run = 0;
const limiterOf = (under: StoreUnderTest, policy: Policy): Limiter =>
  createLimiter({ store: under.store, policies: [policy], live: true });

/** Does a step. @returns what was answered. */
async function act(limiter: Limiter, subject: string, doing: Step): Promise<unknown> {
  if (doing.kind === 'change' || doing.kind === 'time') return undefined;
  if (doing.kind === 'block') return limiter.block('p', subject, { durationMs: 30_000 });
  if (doing.kind === 'unblock') return limiter.unblock('p', subject);
  if (doing.kind === 'reset') return limiter.reset('p', subject);
  const { kind, cost: wanted } = doing;
  const policy = limiter.policies.get('p');
  const most = policy === undefined ? 1 : capacityOf(policy);
  return limiter[kind]('p', subject, { cost: Math.min(wanted, most) });
}

async function replay(
  under: StoreUnderTest,
  first: Policy,
  steps: readonly Step[],
  each: (
    limiter: Limiter,
    subject: string,
    now: number,
    kind: Step['kind'],
    policy: Policy,
  ) => Promise<void> = async () => {},
): Promise<readonly unknown[]> {
  const subject = `history-${(run += 1)}`;
  const history: unknown[] = [];
  let policy = first;
  let limiter = limiterOf(under, policy);
  let now = START;
  await under.setNow(now);
  for (const doing of steps) {
    if (doing.kind === 'change') limiter = limiterOf(under, (policy = doing.policy));
    if (doing.kind === 'time') await under.setNow((now += doing.ms));
    const answer = await act(limiter, subject, doing);
    history.push(answer);
    await each(limiter, subject, now, doing.kind, policy);
    await under.setNow(now);
  }
  return history;
}

describe('a policy that is changed while in use, its algorithm too', () => {
  it('gets the same answers from both stores', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(anyPolicy, fc.array(step, { minLength: 5, maxLength: 40 }), async (first, steps) => {
        const told = await replay(redis, first, steps);
        expect(await replay(memory, first, steps)).toEqual(told);
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    ['memory', () => memory],
    ['redis', () => redis],
  ] as const)('tells the truth about waits, exactly, on the %s store', { timeout: 120_000 }, async (_name, under) => {
    await fc.assert(
      fc.asyncProperty(anyPolicy, fc.array(step, { minLength: 5, maxLength: 30 }), async (first, steps) => {
        await replay(under(), first, steps, async (limiter, subject, now, kind, policy) => {
          const asked = { cost: Math.min(2, capacityOf(policy)) };
          const { reason, retryAfterMs, resetAfterMs } = await limiter.peek('p', subject, asked);
          // A look changes nothing, a request makes the window one of its own algorithm: its wait is exact from then on.
          if (kind !== 'consume' || reason === 'allowed') return;
          await under().setNow(now + retryAfterMs - 1);
          expect((await limiter.peek('p', subject, asked)).reason).not.toBe('allowed');
          await under().setNow(now + retryAfterMs);
          expect(await limiter.peek('p', subject, asked)).toMatchObject({ allowed: true, reason: 'allowed' });
          await under().setNow(now + Math.max(retryAfterMs, resetAfterMs));
          expect(await limiter.peek('p', subject)).toMatchObject({ allowed: true, remaining: capacityOf(policy) });
        });
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    ['memory', () => memory],
    ['redis', () => redis],
  ] as const)('keeps a block by hand whatever changes, on the %s store', { timeout: 120_000 }, async (_name, under) => {
    const change = fc.record({ policy: anyPolicy, waitMs: fc.integer({ min: 0, max: DAY / 20 }) });
    await fc.assert(
      fc.asyncProperty(anyPolicy, fc.array(change, { maxLength: 8 }), async (first, changes) => {
        const subject = `blocked-${(run += 1)}`;
        let now = START;
        await under().setNow(now);
        await limiterOf(under(), first).block('p', subject);
        for (const { policy, waitMs } of changes) {
          await under().setNow((now += waitMs));
          const limiter = limiterOf(under(), { ...policy, mode: 'enforce' });
          await limiter.reward('p', subject);
          const refusal = { allowed: false, reason: 'blocked', blockedUntilMs: Infinity, retryAfterMs: Infinity };
          expect(await limiter.consume('p', subject)).toMatchObject(refusal);
          expect(await limiter.peek('p', subject)).toMatchObject(refusal);
        }
        expect(await limiterOf(under(), first).unblock('p', subject)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it.each([
    ['memory', () => memory],
    ['redis', () => redis],
  ] as const)(
    'never admits more than the limit in a trailing window while log and buckets take turns, on the %s store',
    { timeout: 120_000 },
    async (_name, under) => {
      const turn = fc.record({ log: fc.boolean(), waitMs: fc.integer({ min: 0, max: 20_000 }), cost });
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 3, max: 12 }),
          fc.array(turn, { minLength: 5, maxLength: 40 }),
          async (most, turns) => {
            const subject = `turns-${(run += 1)}`;
            const admitted: { at: number; cost: number }[] = [];
            let now = START;
            for (const { log, waitMs, cost: units } of turns) {
              await under().setNow((now += waitMs));
              const algorithm = log ? 'sliding-log' : 'sliding-window';
              const limiter = limiterOf(
                under(),
                definePolicy({ name: 'p', algorithm, limit: most, windowMs: MINUTE } as PolicyOptions),
              );
              if ((await limiter.consume('p', subject, { cost: units })).allowed)
                admitted.push({ at: now, cost: units });
              const recent = admitted.filter(({ at }) => at > now - MINUTE).reduce((sum, one) => sum + one.cost, 0);
              expect(recent).toBeLessThanOrEqual(most);
            }
          },
        ),
        { numRuns: 100 },
      );
    },
  );
});
