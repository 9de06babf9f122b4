import { type RedisServer, startRedis } from '@spillway/local-servers';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { memoryUnderTest, redisUnderTest, type StoreUnderTest } from '../../test/hand-clock.ts';
import { LimiterWaitError } from '../errors.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import type { PolicyOptions } from '../policy.ts';
import type { LivePolicies } from './live-policies.ts';

const MINUTE = 60_000;
const tooCostly = { allowed: false, reason: 'cost_above_limit', retryAfterMs: Infinity };

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const shapes: readonly [string, PolicyOptions][] = [
  ['sliding-log', { name: 'p', algorithm: 'sliding-log', limit: 10, windowMs: MINUTE }],
  ['sliding-window', { name: 'p', algorithm: 'sliding-window', limit: 10, windowMs: MINUTE }],
  ['fixed-window', { name: 'p', algorithm: 'fixed-window', limit: 10, windowMs: MINUTE }],
  ['token-bucket', { name: 'p', algorithm: 'token-bucket', limit: 10, windowMs: MINUTE }],
  ['concurrency', { name: 'p', algorithm: 'concurrency', limit: 10, windowMs: MINUTE }],
  ['quota', { name: 'p', algorithm: 'quota', limit: 10, period: 'day' }],
  ['a lease', { name: 'p', algorithm: 'sliding-log', limit: 10, windowMs: MINUTE, lease: { size: 5, ttlMs: 1_000 } }],
  ['a block', { name: 'p', limit: 10, windowMs: MINUTE, blockMs: MINUTE }],
];

describe.each([
  ['memory', async () => memoryUnderTest()],
  ['redis', () => redisUnderTest(server.url)],
] as const)('a limit that is lowered live below a request’s cost, on the %s store', (_name, open) => {
  let under: StoreUnderTest;
  beforeAll(async () => {
    under = await open();
    await under.setNow(Date.parse('2026-03-28T12:00:00Z'));
  });
  afterAll(() => under.dispose());

  const make = (policy: PolicyOptions): Limiter & { readonly live: LivePolicies } => {
    const limiter = createLimiter({ store: under.store, live: true, policies: [policy, { ...policy, name: 'other' }] });
    onTestFinished(() => limiter.close());
    return limiter;
  };

  it.each(shapes)('refuses the request and says that no wait helps, under %s', async (shape, policy) => {
    const limiter = make(policy);
    await limiter.consume('p', shape, { cost: 1 });
    await limiter.live.setOverride({ policy: 'p', subject: shape, limit: 2 });
    const cost = { cost: 3 };
    expect(await limiter.consume('p', shape, cost)).toMatchObject({ ...tooCostly, limit: 2, remaining: 1 });
    expect(await limiter.peek('p', shape, cost)).toMatchObject(tooCostly);
    await expect(limiter.waitFor('p', shape, { ...cost, maxWaitMs: 10_000 })).rejects.toBeInstanceOf(LimiterWaitError);
    const together = await limiter.consumeAll([
      { policy: 'p', subject: shape, ...cost },
      { policy: 'other', subject: shape },
    ]);
    expect(together).toMatchObject({ allowed: false, refusedBy: ['p'], retryAfterMs: Infinity });
    expect(together.decisions).toMatchObject([tooCostly, { reason: 'withheld', remaining: 10 }]);
    // It started no block and charged nothing: one more unit fits.
    expect(await limiter.consume('p', shape)).toMatchObject({ allowed: true, remaining: 0 });
    await limiter.reward('p', shape, cost);
    await limiter.penalize('p', shape, cost);
    await limiter.live.allow(shape);
    expect(await limiter.consume('p', shape, cost)).toMatchObject({ allowed: true, reason: 'allow_listed' });
  });

  it.each(shapes)('does so for a whole policy, one that only lives in Redis too, under %s', async (shape, policy) => {
    const limiter = make(policy);
    await limiter.live.setPolicy({ name: 'p', limit: 4, windowMs: MINUTE });
    await limiter.live.setPolicy({ name: 'only-live', limit: 4, windowMs: MINUTE });
    for (const name of ['p', 'only-live']) {
      expect(await limiter.consume(name, `${shape} whole`, { cost: 5 })).toMatchObject(tooCostly);
    }
    expect(await limiter.consume('p', `${shape} whole`, { cost: 4 })).toMatchObject({ allowed: true });
  });

  it('admits it in shadow mode', async () => {
    const limiter = make({ name: 'p', limit: 10, windowMs: MINUTE, mode: 'shadow' });
    await limiter.live.setOverride({ policy: 'p', subject: 'watched', limit: 2 });
    expect(await limiter.consume('p', 'watched', { cost: 3 })).toMatchObject({ allowed: true, reason: 'shadow' });
    const both = await limiter.consumeAll([
      { policy: 'p', subject: 'watched', cost: 3 },
      { policy: 'other', subject: 'watched' },
    ]);
    expect(both.decisions).toMatchObject([{ reason: 'shadow' }, { reason: 'allowed', remaining: 9 }]);
  });

  it('takes a cost that only the live policy can admit', async () => {
    const limiter = make({ name: 'p', limit: 10, windowMs: MINUTE });
    await expect(limiter.consume('p', 'raised', { cost: 20 })).rejects.toMatchObject({ field: 'cost' });
    await limiter.live.setPolicy({ name: 'p', limit: 30, windowMs: MINUTE });
    expect(await limiter.consume('p', 'raised', { cost: 20 })).toMatchObject({ allowed: true, remaining: 10 });
  });

  it('lets a slot be released, and work be done, when the policy counts slots no more', async () => {
    const limiter = make({ name: 'p', algorithm: 'concurrency', limit: 10, windowMs: MINUTE });
    const held = await limiter.acquire('p', 'renderer');
    const { slot = '' } = await limiter.consume('p', 'renderer');
    await limiter.live.setPolicy({ name: 'p', limit: 5, windowMs: MINUTE });
    await limiter.release('p', 'renderer', slot);
    await held?.release();
    const next = await limiter.acquire('p', 'renderer');
    expect(next?.decision).toMatchObject({ allowed: true, limit: 5 });
    await next?.release();
  });
});
