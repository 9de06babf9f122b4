import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { Counter, Gauge, Registry } from 'prom-client';
import { describe, expect, it, vi } from 'vitest';
import { LimiterInputError } from './errors.ts';
import { createLimiter } from './limiter/create-limiter.ts';
import type { LimiterMetrics } from './metrics.ts';
import { openTelemetryMetrics } from './opentelemetry/index.ts';
import { definePolicy } from './policy.ts';
import { MetricNameTakenError, prometheusMetrics } from './prometheus/index.ts';
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

function throwNameless(): never {
  throw Object.create(null);
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

  it.each([
    ['they throw', onFire, 'registry on fire'],
    ['they reject with', async () => onFire(), 'registry on fire'],
    ['without a text', async () => throwNameless(), 'a value without a text'],
  ])('cannot fail a decision, nor end the process: the first error %s becomes a warning', async (_, decision, text) => {
    const warnings: string[] = [];
    const listen = (warning: Error): number => warnings.push(warning.message);
    process.on('warning', listen);
    const metrics = { decision: decision as () => void };
    const limiter = createLimiter({ store: memoryStore(), policies, metrics });
    await expect(limiter.consume('two', 'u')).resolves.toMatchObject({ allowed: true });
    await expect(limiter.consume('two', 'u')).resolves.toMatchObject({ allowed: true });
    await expect.poll(() => warnings).toEqual([expect.stringContaining(text)]);
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

const pair = definePolicy({ name: 'pair', limit: 2, windowMs: 60_000, nearLimit: 0.5 });

describe('prometheusMetrics', () => {
  it('shows in the registry’s own output what a limiter decided', async () => {
    const registry = new Registry();
    const { metrics } = prometheusMetrics({ registry });
    const limiter = createLimiter({ store: memoryStore(), policies: [pair], metrics });
    for (let request = 0; request < 5; request += 1) await limiter.consume('pair', '192.0.2.1');
    metrics.batch?.({ size: 3, durationMs: 1 });
    metrics.cacheHit?.('deny');
    metrics.fallback?.('pair', 'open', 'read_only');
    metrics.dropped?.(7);
    const lines = (await registry.metrics()).split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        '# TYPE spillway_limiter_decisions_total counter',
        'spillway_limiter_decisions_total{policy="pair",outcome="allowed"} 2',
        'spillway_limiter_decisions_total{policy="pair",outcome="limited"} 3',
        'spillway_limiter_near_limit_total{policy="pair"} 2',
        '# TYPE spillway_limiter_decision_duration_seconds histogram',
        'spillway_limiter_decision_duration_seconds_count{policy="pair"} 5',
        'spillway_limiter_batch_size_bucket{le="2"} 0',
        'spillway_limiter_batch_size_bucket{le="4"} 1',
        'spillway_limiter_batch_duration_seconds_bucket{le="0.001"} 1',
        'spillway_limiter_cache_hits_total{kind="deny"} 1',
        'spillway_limiter_fallbacks_total{policy="pair",answer="open",cause="read_only"} 1',
        'spillway_limiter_dropped_events_total 7',
      ]),
    );
    expect(lines.join('\n')).not.toContain('192.0.2.1');
  });

  it('lets two limiters share a registry, and unregisters when the last has gone', async () => {
    const registry = new Registry();
    const one = prometheusMetrics({ registry });
    const other = prometheusMetrics({ registry });
    for (const { metrics } of [one, other]) metrics.dropped?.(1);
    expect(await registry.metrics()).toContain('spillway_limiter_dropped_events_total 2');
    one.unregister();
    one.unregister();
    other.metrics.dropped?.(1);
    expect(await registry.metrics()).toContain('spillway_limiter_dropped_events_total 3');
    other.unregister();
    expect(registry.getMetricsAsArray()).toEqual([]);
    prometheusMetrics({ registry });
    expect(registry.getMetricsAsArray()).toHaveLength(8);
  });

  it('survives a registry that was cleared meanwhile, and leaves alone what came after', async () => {
    const registry = new Registry();
    const before = prometheusMetrics({ registry });
    registry.clear();
    const after = prometheusMetrics({ registry });
    before.unregister();
    after.metrics.dropped?.(1);
    expect(await registry.metrics()).toContain('spillway_limiter_dropped_events_total 1');
  });

  it.each([
    ['kind', (registry: Registry) => new Gauge({ name: 'x_decisions_total', help: 'mine', registers: [registry] })],
    ['owner', (registry: Registry) => new Counter({ name: 'x_decisions_total', help: 'mine', registers: [registry] })],
  ])('refuses a name that a metric of another %s has', (_what, take) => {
    const registry = new Registry();
    take(registry);
    expect(() => prometheusMetrics({ registry, prefix: 'x_' })).toThrow(MetricNameTakenError);
    expect(() => prometheusMetrics({ registry, prefix: 'y_' })).not.toThrow();
  });
});

it('reaches an SDK’s exporter under semantic names, durations in seconds', async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  const metrics = openTelemetryMetrics({ meter: provider.getMeter('test') });
  const limiter = createLimiter({ store: memoryStore(), policies: [pair], metrics });
  for (let request = 0; request < 3; request += 1) await limiter.consume('pair', '192.0.2.1');
  metrics.batch?.({ size: 3, durationMs: 1.5 });
  metrics.cacheHit?.('lease');
  metrics.fallback?.('pair', 'closed', 'no_answer');
  metrics.dropped?.(7);
  await reader.forceFlush();

  const found = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  const points = Object.fromEntries(
    found.map(({ descriptor, dataPoints }) => [
      `${descriptor.name} ${descriptor.unit}`,
      dataPoints.map(({ attributes, value }) => [
        Object.values(attributes).join(' '),
        typeof value === 'object' ? ('count' in value ? value.count : 0) : value,
      ]),
    ]),
  );
  expect(points).toEqual({
    'spillway.limiter.decisions {decision}': [
      ['pair allowed', 2],
      ['pair limited', 1],
    ],
    'spillway.limiter.decision.duration s': [['pair', 3]],
    'spillway.limiter.near_limit {decision}': [['pair', 2]],
    'spillway.limiter.batch.size {request}': [['', 1]],
    'spillway.limiter.batch.duration s': [['', 1]],
    'spillway.limiter.cache.hits {decision}': [['lease', 1]],
    'spillway.limiter.fallbacks {decision}': [['pair closed no_answer', 1]],
    'spillway.limiter.events.dropped {event}': [['', 7]],
  });
  const batch = found.find(({ descriptor }) => descriptor.name === 'spillway.limiter.batch.duration');
  expect(batch?.dataPoints[0]?.value).toMatchObject({ sum: 0.0015 });
  expect(JSON.stringify(found)).not.toContain('192.0.2.1');
  await provider.shutdown();
});

it('does nothing, and fails nobody, in an application without an SDK', async () => {
  const limiter = createLimiter({ store: memoryStore(), policies: [pair], metrics: openTelemetryMetrics() });
  await expect(limiter.consume('pair', 'u')).resolves.toMatchObject({ allowed: true });
});
