import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { Gauge, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { BreakerInputError } from './errors.ts';
import { openTelemetryMetrics } from './opentelemetry/index.ts';
import { prometheusMetrics } from './prometheus/index.ts';

describe('prometheusMetrics', () => {
  it('shows in the registry’s own output what breakers did', async () => {
    const registry = new Registry();
    const { metrics } = prometheusMetrics({ registry });
    metrics.state('runware', 'ai_provider', 'closed');
    metrics.call('runware', 'ai_provider', 'failure', 1_500);
    metrics.call('runware', 'ai_provider', 'refused', 0);
    metrics.transition('runware', 'ai_provider', 'closed', 'open', 'failures');
    metrics.state('runware', 'ai_provider', 'open');
    metrics.lease('runware', 'ai_provider', 'granted');
    metrics.flush({ durationMs: 2, size: 5 });
    metrics.outage({ kind: 'begin' });
    metrics.outage({ kind: 'end' });
    const which = 'breaker="runware",preset="ai_provider"';
    expect((await registry.metrics()).split('\n')).toEqual(
      expect.arrayContaining([
        '# TYPE spillway_breaker_state gauge',
        `spillway_breaker_state{${which},state="closed"} 0`,
        `spillway_breaker_state{${which},state="open"} 1`,
        `spillway_breaker_calls_total{${which},outcome="failure"} 1`,
        `spillway_breaker_calls_total{${which},outcome="refused"} 1`,
        `spillway_breaker_call_duration_seconds_sum{${which}} 1.5`,
        `spillway_breaker_call_duration_seconds_count{${which}} 1`,
        `spillway_breaker_transitions_total{${which},from="closed",to="open",reason="failures"} 1`,
        `spillway_breaker_probe_leases_total{${which},event="granted"} 1`,
        'spillway_breaker_flush_duration_seconds_bucket{le="0.0025"} 1',
        'spillway_breaker_outages_total 1',
      ]),
    );
  });

  it('lets the series of an evicted breaker go', async () => {
    const registry = new Registry();
    const { metrics } = prometheusMetrics({ registry });
    for (const name of ['kept', 'evicted']) {
      metrics.state(name, 'email', 'closed');
      metrics.call(name, 'email', 'success', 1);
      metrics.lease(name, 'email', 'denied');
    }
    metrics.forget?.('evicted', 'email');
    const output = await registry.metrics();
    expect(output).toContain('breaker="kept"');
    expect(output).not.toContain('evicted');
  });

  it('lets two sets share a registry, and unregisters when the last has gone', async () => {
    const registry = new Registry();
    const one = prometheusMetrics({ registry });
    const other = prometheusMetrics({ registry });
    for (const { metrics } of [one, other]) metrics.outage({ kind: 'begin' });
    expect(await registry.metrics()).toContain('spillway_breaker_outages_total 2');
    one.unregister();
    one.unregister();
    other.metrics.outage({ kind: 'begin' });
    expect(await registry.metrics()).toContain('spillway_breaker_outages_total 3');
    other.unregister();
    expect(registry.getMetricsAsArray()).toEqual([]);
    prometheusMetrics({ registry });
    expect(registry.getMetricsAsArray()).toHaveLength(7);
  });

  it('survives a registry that was cleared meanwhile, and leaves alone what came after', async () => {
    const registry = new Registry();
    const before = prometheusMetrics({ registry });
    registry.clear();
    const after = prometheusMetrics({ registry });
    before.unregister();
    after.metrics.outage({ kind: 'begin' });
    expect(await registry.metrics()).toContain('spillway_breaker_outages_total 1');
  });

  it('refuses a name that somebody else has, and registers nothing then', () => {
    const registry = new Registry();
    const mine = new Gauge({ name: 'spillway_breaker_state', help: 'mine', registers: [registry] });
    expect(() => prometheusMetrics({ registry })).toThrow(BreakerInputError);
    expect(registry.getMetricsAsArray()).toEqual([mine]);
    expect(() => prometheusMetrics({ registry, prefix: 'x_' })).not.toThrow();
  });
});

it('reaches an exporter of the SDK, durations in seconds', async () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  const metrics = openTelemetryMetrics({ meter: provider.getMeter('test') });
  metrics.state('runware', 'ai_provider', 'closed');
  metrics.state('gone', 'ai_provider', 'closed');
  metrics.call('runware', 'ai_provider', 'failure', 1_500);
  metrics.call('runware', 'ai_provider', 'refused', 0);
  metrics.transition('runware', 'ai_provider', 'closed', 'open', 'failures');
  metrics.state('runware', 'ai_provider', 'open');
  metrics.lease('runware', 'ai_provider', 'granted');
  metrics.flush({ durationMs: 2, size: 5 });
  metrics.outage({ kind: 'begin' });
  metrics.outage({ kind: 'end' });
  metrics.forget?.('gone', 'ai_provider');
  await provider.forceFlush();

  const exported = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics));
  const points = new Map(
    exported.map(({ descriptor, dataPoints }) => [
      descriptor.name,
      dataPoints.map(({ attributes, value }) => [
        Object.values(attributes).join(' '),
        typeof value === 'object' ? value.sum : value,
      ]),
    ]),
  );
  expect(points.get('spillway.breaker.state')).toEqual([
    ['runware ai_provider closed', 0],
    ['runware ai_provider open', 1],
    ['runware ai_provider half_open', 0],
    ['runware ai_provider forced_open', 0],
    ['runware ai_provider forced_closed', 0],
  ]);
  expect(points.get('spillway.breaker.calls')).toEqual([
    ['runware ai_provider failure', 1],
    ['runware ai_provider refused', 1],
  ]);
  expect(points.get('spillway.breaker.call.duration')).toEqual([['runware ai_provider', 1.5]]);
  expect(points.get('spillway.breaker.transitions')).toEqual([['runware ai_provider closed open failures', 1]]);
  expect(points.get('spillway.breaker.probe.leases')).toEqual([['runware ai_provider granted', 1]]);
  expect(points.get('spillway.breaker.flush.duration')).toEqual([['', 0.002]]);
  expect(points.get('spillway.breaker.outages')).toEqual([['', 1]]);
  await provider.shutdown();
});
