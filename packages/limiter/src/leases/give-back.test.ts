import { type RedisServer, startRedis } from '@spillway/local-servers';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { memoryUnderTest, redisUnderTest, type StoreUnderTest } from '../../test/hand-clock.ts';
import { definePolicy } from '../policy.ts';

const START = 1_800_000_000_000;
const policy = definePolicy({ name: 'p', limit: 10, windowMs: 60_000 });
const key = '{sw:00}:w:p:7:default:u';
const ask = (cost: number) => ({ policy, subject: 'u', action: 'default', key, cost });

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const stores: readonly [string, () => Promise<StoreUnderTest>][] = [
  ['memory', async () => memoryUnderTest()],
  ['redis', () => redisUnderTest(server.url)],
];

describe.each(stores)('units given back to the %s store', (_name, open) => {
  let under: StoreUnderTest;
  beforeAll(async () => {
    under = await open();
  });
  beforeEach(async () => {
    await under.clear();
    await under.setNow(START);
  });
  afterAll(() => under.dispose());

  it('are those that were charged then, not the newest', async () => {
    await under.store.consume(ask(4));
    await under.setNow(START + 10_000);
    await under.store.consume(ask(4));
    await under.setNow(START + 20_000);
    await under.store.giveBack?.(ask(3), START);
    expect(await under.store.peek(ask(1))).toMatchObject({ remaining: 5, resetAfterMs: 50_000 });
    await under.setNow(START + 60_000);
    expect(await under.store.peek(ask(1))).toMatchObject({ remaining: 6 });
  });

  it('are no more than were charged then, and none of a time when nothing was', async () => {
    await under.store.consume(ask(2));
    for (const none of [START + 1, START - 1]) await under.store.giveBack?.(ask(5), none);
    expect(await under.store.peek(ask(1))).toMatchObject({ remaining: 8 });
    await under.store.giveBack?.(ask(5), START);
    expect(await under.store.peek(ask(1))).toMatchObject({ remaining: 10, resetAfterMs: 0 });
    await under.store.giveBack?.(ask(5), START);
  });

  it('of a sliding window come out of the bucket that they were charged in', async () => {
    const windowed = definePolicy({ name: 'p', algorithm: 'sliding-window', limit: 10, windowMs: 60_000 });
    const one = (cost: number) => ({ policy: windowed, subject: 'u', action: 'default', key: '{sw:00}:w:p::u', cost });
    await under.store.consume(one(4));
    await under.setNow(START + 10_000);
    await under.store.consume(one(4));
    await under.store.giveBack?.(one(3), START);
    await under.store.giveBack?.(one(9), START - 120_000);
    expect(await under.store.peek(one(1))).toMatchObject({ remaining: 5 });
    await under.setNow(START + 64_000);
    expect(await under.store.peek(one(1))).toMatchObject({ remaining: 6 });
    await under.store.giveBack?.(one(9), START + 10_000);
    expect(await under.store.peek(one(1))).toMatchObject({ remaining: 10 });
  });

  it('are none of a window that is another algorithm’s by now, whatever its bytes would say', async () => {
    const fixed = definePolicy({ name: 'p', algorithm: 'fixed-window', limit: 10, windowMs: 60_000 });
    const one = (cost: number) => ({ ...ask(cost), policy: fixed });
    await under.store.consume(one(4));
    // Read as a log, the 4 units and the first byte of the time behind them are a unit after 4 × 256 + 1 ms.
    await under.store.giveBack?.(ask(1), START + 1_025);
    expect(await under.store.peek(one(1))).toMatchObject({ remaining: 6, resetAfterMs: 60_000 });
  });

  it('leave a block in force', async () => {
    await under.store.consume(ask(2));
    await under.store.block(ask(1), 5_000);
    await under.store.giveBack?.(ask(2), START);
    expect(await under.store.peek(ask(1))).toMatchObject({ reason: 'blocked', retryAfterMs: 5_000 });
  });

  it('leave the window as if they had never been charged', { timeout: 60_000 }, async () => {
    const charge = fc.record({ waitMs: fc.integer({ min: 1, max: 9_000 }), cost: fc.integer({ min: 2, max: 3 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(charge, { minLength: 1, maxLength: 8 }), fc.nat(), async (charges, pick) => {
        await under.clear();
        let now = START;
        const admitted: { at: number; cost: number }[] = [];
        for (const { waitMs, cost } of charges) {
          await under.setNow((now += waitMs));
          if ((await under.store.consume(ask(cost))).allowed) admitted.push({ at: now, cost });
        }
        const picked = admitted[pick % admitted.length] ?? expect.fail();
        await under.store.giveBack?.(ask(1), picked.at);
        picked.cost -= 1;
        for (let step = 0; step < 8; step += 1) {
          const used = admitted.filter(({ at }) => at > now - policy.windowMs).reduce((sum, one) => sum + one.cost, 0);
          expect((await under.store.peek(ask(1))).remaining).toBe(policy.limit - used);
          await under.setNow((now += 9_000));
        }
      }),
      { numRuns: 60 },
    );
  });
});
