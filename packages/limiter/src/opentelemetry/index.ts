import { type Meter, metrics as globalMetrics, ValueType } from '@opentelemetry/api';
import type { LimiterMetrics } from '../metrics.ts';

/** Where the metrics go. */
export interface OpenTelemetryMetricsOptions {
  /** @default the global provider's meter `@spillway/limiter` */
  readonly meter?: Meter;
}

/** In seconds, as OpenTelemetry's conventions have durations: from 0.1 ms to 1 s. */
const DURATION_BUCKETS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

/**
 * Counts a limiter's work with the OpenTelemetry API; which SDK exports it, if any, is the application's choice. The
 * attributes are `spillway.policy` and `spillway.outcome`, `spillway.answer` or `spillway.cache.kind`, never a subject.
 * @example
 * ```ts
 * const limiter = createLimiter({ redis, policies: tiers, metrics: openTelemetryMetrics() });
 * ```
 */
export function openTelemetryMetrics(options: OpenTelemetryMetricsOptions = {}): LimiterMetrics {
  const { meter = globalMetrics.getMeter('@spillway/limiter') } = options;
  const counter = (name: string, unit: string, description: string) =>
    meter.createCounter(`spillway.limiter.${name}`, { unit, description, valueType: ValueType.INT });
  const duration = (name: string, description: string) =>
    meter.createHistogram(`spillway.limiter.${name}`, {
      unit: 's',
      description,
      advice: { explicitBucketBoundaries: DURATION_BUCKETS },
    });

  const decisions = counter('decisions', '{decision}', 'Decisions by policy and outcome.');
  const durations = duration('decision.duration', 'Time from a call to its decision.');
  const nearLimit = counter('near_limit', '{decision}', 'Admitted requests of subjects near their limit.');
  const batchSize = meter.createHistogram('spillway.limiter.batch.size', {
    unit: '{request}',
    description: 'Requests decided by one script call.',
    valueType: ValueType.INT,
    advice: { explicitBucketBoundaries: [1, 2, 4, 8, 16, 32, 64] },
  });
  const batchTimes = duration('batch.duration', 'From sending a batch to its reply.');
  const cacheHits = counter('cache.hits', '{decision}', 'Decisions made in the process, without a call to Redis.');
  const fallbacks = counter('fallbacks', '{decision}', 'Decisions made without Redis.');
  const dropped = counter('events.dropped', '{event}', 'Audit events lost because the outbox was full.');
  return {
    decision({ policy, outcome, durationMs }) {
      decisions.add(1, { 'spillway.policy': policy, 'spillway.outcome': outcome });
      durations.record(durationMs / 1000, { 'spillway.policy': policy });
    },
    nearLimit: (policy) => nearLimit.add(1, { 'spillway.policy': policy }),
    batch({ size, durationMs }) {
      batchSize.record(size);
      batchTimes.record(durationMs / 1000);
    },
    cacheHit: (kind) => cacheHits.add(1, { 'spillway.cache.kind': kind }),
    fallback: (policy, answer, cause) =>
      fallbacks.add(1, { 'spillway.policy': policy, 'spillway.answer': answer, 'spillway.cause': cause }),
    dropped: (count) => dropped.add(count),
  };
}
