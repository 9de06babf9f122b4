import { Counter, Gauge, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { MetricNameTakenError, prometheusMetrics } from './index.ts';

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
