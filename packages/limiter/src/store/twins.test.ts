import { type RedisServer, startRedis } from '@spillway/local-servers';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memoryUnderTest, redisUnderTest } from '../../test/hand-clock.ts';
import { firstDifference, histories } from '../../test/histories.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';

const START = Date.parse('2026-03-28T12:00:00Z');
const MINUTE = 60_000;

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

/*
 * The two stores are twins: random histories over every algorithm, with groups, refunds, penalties, blocks and clock
 * steps in both directions, get the same answers from both.
 */
describe('the stores', () => {
  const policies = [
    definePolicy({ name: 'log', limit: 5, windowMs: MINUTE }),
    definePolicy({ name: 'log-block', limit: 3, windowMs: MINUTE, blockMs: 90_000 }),
    definePolicy({ name: 'window', algorithm: 'sliding-window', limit: 7, windowMs: MINUTE, buckets: 7 }),
    definePolicy({ name: 'window-block', algorithm: 'sliding-window', limit: 4, windowMs: 50_001, blockMs: 70_000 }),
    definePolicy({ name: 'fixed', algorithm: 'fixed-window', limit: 4, windowMs: MINUTE, blockMs: 20_000 }),
    definePolicy({ name: 'bucket', algorithm: 'token-bucket', limit: 6, windowMs: 7 * MINUTE, burst: 4 }),
    definePolicy({ name: 'quota', algorithm: 'quota', limit: 9, period: 'day', timeZone: 'Asia/Kathmandu' }),
    definePolicy({
      name: 'shadow',
      algorithm: 'fixed-window',
      limit: 2,
      windowMs: MINUTE,
      blockMs: 9_000,
      mode: 'shadow',
    }),
  ];
  const name = fc.constantFrom(...policies.map((policy) => policy.name));
  const one = fc.record({ policy: name, cost: fc.integer({ min: 1, max: 2 }) });
  const command = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('consume' as const), ask: one }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('peek' as const), ask: one }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('reward' as const), ask: one }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('penalize' as const), ask: one }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('block' as const), ask: one }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('unblock' as const), ask: one }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reset' as const), ask: one }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('together' as const),
        asks: fc.uniqueArray(one, { minLength: 1, maxLength: 4, selector: ({ policy }) => policy }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.integer({ min: -9_000, max: 80_000 }) }),
    },
  );

  it('give the same answers to the same history', { timeout: 120_000 }, async () => {
    const redis = await redisUnderTest(server.url);
    const memory = memoryUnderTest();
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 60 }), async (commands) => {
        const subject = `history-${(run += 1)}`;
        const played = [];
        for (const under of [redis, memory]) {
          const limiter: Limiter = createLimiter({ store: under.store, policies });
          const history: unknown[] = [];
          let now = START;
          await under.setNow(now);
          for (const step of commands) {
            if (step.kind === 'time') await under.setNow((now += step.ms));
            else if (step.kind === 'together') {
              history.push(await limiter.consumeAll(step.asks.map((ask) => ({ ...ask, subject }))));
            } else if (step.kind === 'reset') await limiter.reset(step.ask.policy, subject);
            else if (step.kind === 'unblock') history.push(await limiter.unblock(step.ask.policy, subject));
            else if (step.kind === 'block') {
              history.push(await limiter.block(step.ask.policy, subject, { durationMs: 30_000 }));
            } else history.push(await limiter[step.kind](step.ask.policy, subject, { cost: step.ask.cost }));
          }
          played.push(history);
        }
        expect(played[0]).toEqual(played[1]);
      }),
      {
        numRuns: 250,
        examples: [
          // Blocks that are over when somebody unblocks, and when something is charged; then the clock steps back.
          [
            [
              { kind: 'block', ask: { policy: 'quota', cost: 1 } },
              { kind: 'time', ms: 30_000 },
              { kind: 'unblock', ask: { policy: 'quota', cost: 1 } },
              { kind: 'time', ms: -1 },
              { kind: 'consume', ask: { policy: 'quota', cost: 1 } },
            ],
          ],
          [
            [
              { kind: 'block', ask: { policy: 'quota', cost: 1 } },
              { kind: 'time', ms: 30_000 },
              { kind: 'consume', ask: { policy: 'quota', cost: 1 } },
              { kind: 'time', ms: -1 },
              { kind: 'consume', ask: { policy: 'quota', cost: 1 } },
            ],
          ],
          // A refund into a bucket of its own is seen by a clock that steps back behind it.
          [
            [
              { kind: 'consume', ask: { policy: 'window', cost: 1 } },
              { kind: 'time', ms: 2_536 },
              { kind: 'reward', ask: { policy: 'window', cost: 1 } },
              { kind: 'time', ms: -1 },
              { kind: 'penalize', ask: { policy: 'window', cost: 1 } },
            ],
          ],
          // A refund takes the one unit that was charged before the clock stepped back.
          [
            [
              { kind: 'consume', ask: { policy: 'log', cost: 1 } },
              { kind: 'time', ms: 1 },
              { kind: 'consume', ask: { policy: 'log', cost: 1 } },
              { kind: 'time', ms: -1 },
              { kind: 'reward', ask: { policy: 'log', cost: 1 } },
            ],
          ],
        ],
      },
    );
    await redis.dispose();
  });
});

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const played = [1, 2, 3, 4, 5, 6].map((seed) => ['mixed', seed] as const);
const more = (['resized', 'calendars'] as const).flatMap((name) => [1, 2].map((seed) => [name, seed] as const));

it.each([...played, ...more])(
  'both stores answer alike, alone, in batches and in groups, under policies that change while in use, and Redis keeps each window as long as it counts: history %s %i',
  { timeout: 120_000 },
  async (name, seed) => {
    const redis = await redisUnderTest(server.url);
    await redis.clear();
    expect(await firstDifference([redis, memoryUnderTest()], seed, 800, histories[name])).toBeUndefined();
    await redis.dispose();
  },
);

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

/*
 * What the sections @check, @commit and @refuse decide, without the blocks and steps back that leave it to @general: windows in
 * steady use, in which units leave one after the other, and groups with a shadow policy that has no block.
 */
it(
  'windows in steady use get the same answers from both stores, to the ms at which they end',
  { timeout: 60_000 },
  async () => {
    const policies = [
      definePolicy({ name: 'log', limit: 5, windowMs: 1_000 }),
      definePolicy({ name: 'fixed', algorithm: 'fixed-window', limit: 3, windowMs: 1_000 }),
      definePolicy({ name: 'window', algorithm: 'sliding-window', limit: 5, windowMs: 1_000, buckets: 4 }),
      definePolicy({ name: 'shadow', algorithm: 'fixed-window', limit: 1, windowMs: 1_000, mode: 'shadow' }),
    ] as const;
    const stores = [memoryUnderTest(), await redisUnderTest(server.url)];
    const limiters = stores.map(({ store }) => createLimiter({ store, policies }));
    let now = START;
    try {
      for (let step = 0; step < 600; step += 1) {
        now += [0, 50, 125, 249, 1, 75, 200, 99][(step * step + step) % 8] ?? 0;
        await Promise.all(stores.map((store) => store.setNow(now)));
        const { name } = policies[step % 3] ?? policies[0];
        const cost = 1 + (step % 7 === 0 ? 1 : 0);
        const [one, other] = await Promise.all(
          limiters.map((limiter) =>
            step % 5 === 0
              ? limiter.consumeAll([
                  { policy: name, subject: 'u', cost },
                  { policy: 'shadow', subject: 'u' },
                ])
              : limiter.consume(name, 'u', { cost }),
          ),
        );
        expect(other, `step ${step}`).toEqual(one);
      }
    } finally {
      await Promise.all(stores.map((store) => store.dispose()));
    }
  },
);

it('a fixed window that is asked for at its very end, and 1 ms later, begins again', { timeout: 60_000 }, async () => {
  const policies = [definePolicy({ name: 'fixed', algorithm: 'fixed-window', limit: 1, windowMs: 1_000 })];
  for (const under of [memoryUnderTest(), await redisUnderTest(server.url)]) {
    const limiter = createLimiter({ store: under.store, policies });
    let now = START;
    const at = async (laterMs: number) => under.setNow((now += laterMs));
    try {
      for (const lateMs of [0, 1]) {
        await at(10_000);
        const subject = `late-${lateMs}`;
        const { resetAfterMs } = await limiter.consume('fixed', subject);
        await at(resetAfterMs - 1);
        expect(await limiter.consume('fixed', subject)).toMatchObject({ allowed: false, retryAfterMs: 1 });
        await at(1 + lateMs);
        const again = { allowed: true, remaining: 0, resetAfterMs: 1_000 };
        expect(await limiter.consume('fixed', subject), `${lateMs} ms late`).toMatchObject(again);
      }
    } finally {
      await under.dispose();
    }
  }
});
