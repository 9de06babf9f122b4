import { type RedisServer, startRedis } from '@spillway/local-servers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { memoryUnderTest, redisUnderTest } from '../../test/hand-clock.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';

const START = Date.parse('2026-03-28T12:00:00Z');

let server: RedisServer;
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
