import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { expect, it } from 'vitest';
import { openTelemetryMetrics } from './index.ts';

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
