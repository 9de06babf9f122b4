import {
  type RedisCluster,
  type RedisSentinelSet,
  type RedisServer,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
} from '@spillway/local-servers';
import { redisLibraries } from '@spillway/local-servers/testing';
import * as hotPath from '@spillway/redis';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  clusterUnderTest,
  memoryUnderTest,
  redisUnderTest,
  sentinelUnderTest,
  type StoreUnderTest,
} from '../../test/hand-clock.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';

const START = 1_800_000_000_000;
const MINUTE = 60_000;

let server: RedisServer;
let cluster: RedisCluster;
let sentinel: RedisSentinelSet;
// No failover here: a busy machine may stand still for longer than the second after which Sentinel would begin one.
beforeAll(async () => {
  [server, cluster, sentinel] = await Promise.all([
    startRedis(),
    startRedisCluster(),
    startRedisSentinel({ downAfterMs: 60_000 }),
  ]);
});
afterAll(() => Promise.all([server.stop(), cluster.stop(), sentinel.stop()]));

const stores: readonly [string, () => Promise<StoreUnderTest>][] = [
  ['memory', async () => memoryUnderTest()],
  ['redis', () => redisUnderTest(server.url)],
  ['redis cluster', () => clusterUnderTest(cluster)],
  ['redis sentinel', () => sentinelUnderTest(sentinel)],
  ...redisLibraries(hotPath).flatMap(({ name, ...library }): [string, () => Promise<StoreUnderTest>][] =>
    name === 'ioredis 6'
      ? []
      : [
          [`${name} server`, async () => redisUnderTest(server.url, await library.connect(server.url))],
          [`${name} cluster`, async () => clusterUnderTest(cluster, await library.connectToCluster(cluster))],
          [`${name} sentinel`, async () => sentinelUnderTest(sentinel, await library.connectToSentinel(sentinel))],
        ],
  ),
];

describe.each(stores)('the %s store', (_name, open) => {
  let under: StoreUnderTest;
  let limiter: Limiter<'plain' | 'blocking' | 'shadow'>;

  beforeAll(async () => {
    under = await open();
    limiter = createLimiter({
      store: under.store,
      policies: [
        definePolicy({ name: 'plain', limit: 10, windowMs: MINUTE }),
        definePolicy({ name: 'blocking', limit: 3, windowMs: MINUTE, blockMs: 5 * MINUTE }),
        definePolicy({ name: 'shadow', limit: 2, windowMs: MINUTE, blockMs: MINUTE, mode: 'shadow' }),
      ],
    });
  });
  beforeEach(async () => {
    await under.clear();
    await under.setNow(START);
  });
  afterAll(() => under.dispose());

  it.each([
    ['far from full', START],
    ['in 2043', 2_300_000_000_000],
  ])('says what is left of a window %s', async (_case, now) => {
    await under.setNow(now);
    const large = definePolicy({ name: 'large', limit: 10_000, windowMs: MINUTE, algorithm: 'sliding-log' });
    const { consume } = createLimiter({ store: under.store, policies: [large] });
    const answers = [
      await consume('large', 'a'),
      await consume('large', 'a'),
      await consume('large', 'a', { cost: 5_902 }),
    ];
    answers.push(await consume('large', 'a'), await consume('large', 'a'));
    expect(answers.map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 9_999],
      [true, 9_998],
      [true, 4_096],
      [true, 4_095],
      [true, 4_094],
    ]);
    for (const { resetAtMs } of answers) expect(resetAtMs).toBe(now + MINUTE);
  });

  it('admits exactly the limit in a window', async () => {
    const decisions = [];
    for (let request = 0; request < 12; request += 1) decisions.push(await limiter.consume('plain', 'u'));
    expect(decisions.map(({ allowed }) => allowed)).toEqual([...Array(10).fill(true), false, false]);
    expect(decisions.map(({ remaining }) => remaining)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]);
  });

  it('charges a denied request nothing: costs 6, 6, 4 of 10 are allowed, denied, allowed', async () => {
    const costs = [];
    for (const cost of [6, 6, 4]) costs.push((await limiter.consume('plain', 'u', { cost })).allowed);
    expect(costs).toEqual([true, false, true]);
  });

  it('says exactly when a denied request would fit, by its cost', async () => {
    await limiter.consume('plain', 'u', { cost: 4 });
    await under.setNow(START + 10_000);
    await limiter.consume('plain', 'u', { cost: 6 });
    await under.setNow(START + 20_000);
    expect(await limiter.consume('plain', 'u', { cost: 4 })).toMatchObject({ allowed: false, retryAfterMs: 40_000 });
    expect(await limiter.consume('plain', 'u', { cost: 5 })).toMatchObject({ allowed: false, retryAfterMs: 50_000 });
    await under.setNow(START + 59_999);
    expect(await limiter.consume('plain', 'u', { cost: 4 })).toMatchObject({ allowed: false, retryAfterMs: 1 });
    await under.setNow(START + 60_000);
    expect(await limiter.consume('plain', 'u', { cost: 4 })).toMatchObject({ allowed: true });
  });

  it('tells when the whole limit is free again', async () => {
    expect(await limiter.consume('plain', 'u')).toMatchObject({ resetAtMs: START + MINUTE, resetAfterMs: MINUTE });
    await under.setNow(START + 15_000);
    expect(await limiter.peek('plain', 'u')).toMatchObject({ resetAtMs: START + MINUTE, resetAfterMs: 45_000 });
  });

  it('peeks without charging or blocking', async () => {
    expect(await limiter.peek('blocking', 'u')).toMatchObject({ allowed: true, remaining: 3, resetAfterMs: 0 });
    await limiter.consume('blocking', 'u', { cost: 3 });
    for (let look = 0; look < 3; look += 1) {
      expect(await limiter.peek('blocking', 'u')).toMatchObject({ allowed: false, reason: 'limited', remaining: 0 });
    }
    await under.setNow(START + MINUTE);
    expect(await limiter.peek('blocking', 'u')).toMatchObject({ allowed: true, remaining: 3 });
  });

  it('blocks from the first denial for the policy’s block duration, and not a millisecond longer', async () => {
    await limiter.consume('blocking', 'u', { cost: 3 });
    const blockedUntilMs = START + 1_000 + 5 * MINUTE;
    await under.setNow(START + 1_000);
    expect(await limiter.consume('blocking', 'u')).toMatchObject({
      allowed: false,
      reason: 'blocked',
      remaining: 0,
      retryAfterMs: 5 * MINUTE,
      blockedUntilMs,
    });
    await under.setNow(START + 2 * MINUTE);
    expect(await limiter.consume('blocking', 'u')).toMatchObject({ allowed: false, reason: 'blocked', blockedUntilMs });
    await under.setNow(blockedUntilMs - 1);
    expect(await limiter.consume('blocking', 'u')).toMatchObject({ allowed: false, retryAfterMs: 1 });
    await under.setNow(blockedUntilMs);
    expect(await limiter.consume('blocking', 'u')).toMatchObject({ allowed: true, remaining: 2 });
  });

  it('lets a shadow policy watch: it says what it would have done, and admits', async () => {
    await limiter.consume('shadow', 'u', { cost: 2 });
    expect(await limiter.consume('shadow', 'u')).toMatchObject({ allowed: true, reason: 'shadow', remaining: 0 });
    expect(await limiter.consume('shadow', 'u')).toMatchObject({ allowed: true, reason: 'shadow' });
  });

  it('keeps subjects, actions and policies apart', async () => {
    await limiter.consume('plain', 'u', { cost: 10 });
    expect((await limiter.consume('plain', 'v')).allowed).toBe(true);
    expect((await limiter.consume('plain', 'u', { action: 'other' })).allowed).toBe(true);
    expect((await limiter.consume('blocking', 'u')).allowed).toBe(true);
    expect((await limiter.consume('plain', 'u')).allowed).toBe(false);
  });

  it('forgets usage and block on reset', async () => {
    await limiter.consume('blocking', 'u', { cost: 3 });
    await limiter.consume('blocking', 'u');
    await limiter.reset('blocking', 'u');
    expect(await limiter.consume('blocking', 'u')).toMatchObject({ allowed: true, remaining: 2 });
  });

  it('blocks by hand for a time, and for ever', async () => {
    await expect(limiter.block('plain', 'u', { durationMs: 5_000 })).resolves.toBe(START + 5_000);
    expect(await limiter.consume('plain', 'u')).toMatchObject({
      allowed: false,
      reason: 'blocked',
      retryAfterMs: 5_000,
    });
    await under.setNow(START + 5_000);
    expect(await limiter.consume('plain', 'u')).toMatchObject({ allowed: true });

    await expect(limiter.block('plain', 'u')).resolves.toBe(Infinity);
    await under.setNow(START + 360 * 24 * 60 * MINUTE);
    expect(await limiter.consume('plain', 'u')).toMatchObject({
      allowed: false,
      retryAfterMs: Infinity,
      blockedUntilMs: Infinity,
    });
  });

  it('lifts a block and keeps what was used', async () => {
    await limiter.consume('blocking', 'u', { cost: 2 });
    await limiter.block('blocking', 'u', { durationMs: MINUTE });
    await expect(limiter.unblock('blocking', 'u')).resolves.toBe(true);
    await expect(limiter.unblock('blocking', 'u')).resolves.toBe(false);
    expect(await limiter.consume('blocking', 'u')).toMatchObject({ allowed: true, remaining: 0 });
    await expect(limiter.unblock('blocking', 'nobody')).resolves.toBe(false);
  });

  it('never admits more when the clock steps back, as it can at a failover', async () => {
    await limiter.consume('plain', 'u', { cost: 9 });
    await under.setNow(START - 5 * MINUTE);
    expect((await limiter.consume('plain', 'u')).allowed).toBe(true);
    const denied = await limiter.consume('plain', 'u');
    expect(denied.allowed).toBe(false);
    // Counted from the clock as it is now: nothing is forgotten, and the wait is told as long as it is.
    expect(denied.retryAfterMs).toBe(6 * MINUTE);
    await under.setNow(START + MINUTE - 1);
    expect((await limiter.peek('plain', 'u')).allowed).toBe(false);
    await under.setNow(START + MINUTE);
    expect((await limiter.peek('plain', 'u')).allowed).toBe(true);
  });

  it('keeps counting a window that has been busy for two months', async () => {
    for (let day = 0; day <= 60; day += 1) {
      await under.setNow(START + day * 24 * 60 * MINUTE);
      expect(await limiter.consume('plain', 'u', { cost: 3 })).toMatchObject({ allowed: true, remaining: 7 });
      await under.setNow(START + day * 24 * 60 * MINUTE + 59_999);
      expect(await limiter.consume('plain', 'u', { cost: 7 })).toMatchObject({ allowed: true, remaining: 0 });
    }
  });

  it('gives concurrent requests together no more than the limit', async () => {
    const decisions = await Promise.all(Array.from({ length: 200 }, () => limiter.consume('plain', 'u')));
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(10);
  });

  // Exactness both ways against the naive model: the sum of what was admitted in the trailing window.
  it('admits a request if and only if it fits the trailing window', { timeout: 120_000 }, async () => {
    let run = 0;
    const step = fc.record({
      waitShare: fc.double({ min: 0, max: 0.4, noNaN: true }),
      cost: fc.integer({ min: 1, max: 200 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 10, max: 60 * MINUTE }),
        fc.array(step, { minLength: 1, maxLength: 60 }),
        async (limit, windowMs, steps) => {
          run += 1;
          const exact = createLimiter({
            store: under.store,
            policies: [definePolicy({ name: 'exact', limit, windowMs })],
          });
          const admitted: { at: number; cost: number }[] = [];
          let now = START;
          for (const { waitShare, cost: wanted } of steps) {
            now += Math.round(waitShare * windowMs);
            const cost = 1 + ((wanted - 1) % limit);
            await under.setNow(now);
            const used = admitted.filter(({ at }) => at > now - windowMs).reduce((sum, one) => sum + one.cost, 0);
            const decision = await exact.consume('exact', `run-${run}`, { cost });
            expect(decision.allowed).toBe(used + cost <= limit);
            expect(decision.remaining).toBe(limit - used - (decision.allowed ? cost : 0));
            if (decision.allowed) admitted.push({ at: now, cost });
            else expect(decision.retryAfterMs).toBe(retryAfter(admitted, now, windowMs, limit, cost));
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

function retryAfter(
  admitted: readonly { at: number; cost: number }[],
  now: number,
  windowMs: number,
  limit: number,
  cost: number,
): number {
  for (const { at } of admitted) {
    const then = at + windowMs;
    const used = admitted.filter((one) => one.at > then - windowMs).reduce((sum, one) => sum + one.cost, 0);
    if (then > now && used + cost <= limit) return then - now;
  }
  return Number.NaN;
}
