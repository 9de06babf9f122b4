import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { describe, expect, it, vi } from 'vitest';
import { LimiterInputError } from './errors.ts';
import { createLimiter } from './limiter/create-limiter.ts';
import type { LimiterMetrics } from './metrics.ts';
import { definePolicy } from './policy.ts';
import { memoryStore } from './store/memory-store.ts';

const policies = [
  definePolicy({ name: 'two', limit: 2, windowMs: 60_000 }),
  definePolicy({ name: 'blocking', limit: 1, windowMs: 60_000, blockMs: 60_000, onUnavailable: 'closed' }),
  definePolicy({ name: 'watched', limit: 1, windowMs: 60_000, mode: 'shadow' }),
] as const;

/** Metrics that write down every call. */
function recording(): { readonly metrics: LimiterMetrics; readonly calls: readonly (readonly unknown[])[] } {
  const calls: (readonly unknown[])[] = [];
  const metrics: LimiterMetrics = {
    decision: ({ policy, outcome, durationMs }) => {
      expect(durationMs).toBeGreaterThanOrEqual(0);
      calls.push(['decision', policy, outcome]);
    },
    nearLimit: (policy) => calls.push(['nearLimit', policy]),
    batch: ({ size, durationMs }) => {
      expect(durationMs).toBeGreaterThanOrEqual(0);
      calls.push(['batch', size]);
    },
    fallback: (policy, answer) => calls.push(['fallback', policy, answer]),
    dropped: (count) => calls.push(['dropped', count]),
  };
  return { metrics, calls };
}

function onFire(): never {
  throw new Error('registry on fire');
}

const redis = useRedis();

async function connected() {
  const client = redis.connect(hotPathOptions);
  await vi.waitUntil(() => client.status === 'ready', { timeout: 10_000 });
  return client;
}

describe('metrics', () => {
  it('are told every decision with its policy and outcome', async () => {
    const { metrics, calls } = recording();
    const limiter = createLimiter({ store: memoryStore(), policies, metrics });
    for (const policy of ['two', 'two', 'two', 'blocking', 'blocking', 'watched', 'watched'] as const) {
      await limiter.consume(policy, 'u');
    }
    await limiter.peek('two', 'u');
    expect(calls).toEqual([
      ['decision', 'two', 'allowed'],
      ['decision', 'two', 'allowed'],
      ['decision', 'two', 'limited'],
      ['decision', 'blocking', 'allowed'],
      ['decision', 'blocking', 'blocked'],
      ['decision', 'watched', 'allowed'],
      ['decision', 'watched', 'shadow'],
    ]);
  });

  it('are told the batches that Redis answered', async () => {
    const { metrics, calls } = recording();
    const limiter = createLimiter({ redis: await connected(), policies, metrics, deadlineMs: 10_000 });
    await Promise.all(Array.from({ length: 70 }, (_, user) => limiter.consume('two', `user-${user}`)));
    const batches = calls.filter(([name]) => name === 'batch');
    expect(new Set(batches.map(([, size]) => size))).toEqual(new Set([6, 64]));
    await limiter.close();
  });

  it('are told what the policy answered while Redis was away', async () => {
    const { metrics, calls } = recording();
    const client = await connected();
    client.disconnect();
    const limiter = createLimiter({ redis: client, policies, metrics, deadlineMs: 20 });
    await Promise.all([limiter.consume('two', 'u'), limiter.consume('blocking', 'u')]);
    expect(new Set(calls.map((call) => call.join(' ')))).toEqual(
      new Set([
        'decision blocking unavailable',
        'decision two unavailable',
        'fallback blocking closed',
        'fallback two open',
      ]),
    );
    expect(calls).toHaveLength(4);
    await limiter.close();
  });

  it('are told how many events of a batch found the outbox full', async () => {
    const { metrics, calls } = recording();
    const client = await connected();
    const limiter = createLimiter({ redis: client, policies, metrics, outboxCap: 2, shards: 1, deadlineMs: 10_000 });
    const users = ['a', 'b', 'c', 'd', 'e'];
    for (const user of users) await limiter.consume('blocking', user);
    await Promise.all(users.map((user) => limiter.consume('blocking', user)));
    expect(calls.filter(([name]) => name === 'dropped')).toEqual([['dropped', 3]]);
    expect(await redis.client.hget('{sw:00}:outbox:head', 'dropped')).toBe('3');
    await limiter.close();
  });

  it('are told of dropped events however the request that blocks was sent', async () => {
    const { metrics, calls } = recording();
    const client = await connected();
    const limiter = createLimiter({ redis: client, policies, metrics, outboxCap: 1, shards: 1, deadlineMs: 10_000 });
    const dropped = () => calls.filter(([name]) => name === 'dropped').length;
    for (const user of ['first', 'a', 'b', 'c']) await limiter.consume('blocking', user);
    await limiter.consume('blocking', 'first');
    expect(dropped()).toBe(0);
    await limiter.consume('blocking', 'a');
    expect(dropped()).toBe(1);
    await Promise.all(['b', 'd'].map((user) => limiter.consume('blocking', user)));
    expect(dropped()).toBe(2);
    await limiter.consumeAll([
      { policy: 'blocking', subject: 'c' },
      { policy: 'two', subject: 'c' },
    ]);
    expect(dropped()).toBe(3);
    await limiter.close();
  });

  it('are called as members of the object they came in, with all of them missing if need be', async () => {
    class Mine {
      readonly outcomes: string[] = [];
      decision({ outcome }: { readonly outcome: string }): void {
        this.outcomes.push(outcome);
      }
    }
    const mine = new Mine();
    await createLimiter({ store: memoryStore(), policies, metrics: mine }).consume('two', 'u');
    expect(mine.outcomes).toEqual(['allowed']);
    const bare = createLimiter({ store: memoryStore(), policies, metrics: {} });
    await expect(bare.consume('two', 'u')).resolves.toMatchObject({ allowed: true });
  });

  it('cannot fail a decision: the first error they throw becomes a warning', async () => {
    const warnings: string[] = [];
    const listen = (warning: Error): number => warnings.push(warning.message);
    process.on('warning', listen);
    const metrics = { decision: onFire };
    const limiter = createLimiter({ store: memoryStore(), policies, metrics });
    await expect(limiter.consume('two', 'u')).resolves.toMatchObject({ allowed: true });
    await expect(limiter.consume('two', 'u')).resolves.toMatchObject({ allowed: true });
    await expect.poll(() => warnings).toEqual([expect.stringContaining('registry on fire')]);
    process.off('warning', listen);
  });

  it.each([
    [null, 'metrics'],
    ['prometheus', 'metrics'],
    [{ decision: 'count' }, 'metrics.decision'],
    [{ batch: {} }, 'metrics.batch'],
  ])('are refused at construction when they are %j', (metrics, field) => {
    const make = (): unknown =>
      createLimiter({ store: memoryStore(), policies, metrics: metrics as unknown as LimiterMetrics });
    expect(make).toThrow(LimiterInputError);
    expect(make).toThrow(field);
  });
});
