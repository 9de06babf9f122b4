import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { expect, it } from 'vitest';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { openTelemetryMetrics } from './index.ts';

const pair = definePolicy({ name: 'pair', limit: 2, windowMs: 60_000, nearLimit: 0.5 });

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
