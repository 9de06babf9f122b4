import { type Meter, metrics as globalMetrics, ValueType } from '@opentelemetry/api';
import { type BreakerMetrics, STATE_NAMES } from '../metrics.ts';

/** Where the metrics go. */
export interface OpenTelemetryMetricsOptions {
  /** @default the global provider's meter `@spillway/breaker` */
  readonly meter?: Meter;
}

/** In seconds: from 5 ms to 2 minutes for the functions, from 0.5 ms to 1 s for the exchanges with Redis. */
const CALL_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
const FLUSH_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];

/**
 * Counts the work of breakers with the OpenTelemetry API; which SDK exports it, if any, is the application's choice. The
 * attributes are `spillway.breaker`, `spillway.preset`, `spillway.state`, `spillway.outcome`, `spillway.from`,
 * `spillway.to`, `spillway.reason` and `spillway.lease`. `spillway.breaker.state` is 1 for the state that this instance
 * acts on and 0 for the others.
 * @example
 * ```ts
 * const breakers = createBreakers({ redis, metrics: openTelemetryMetrics() });
 * ```
 */
export function openTelemetryMetrics(options: OpenTelemetryMetricsOptions = {}): BreakerMetrics {
  const { meter = globalMetrics.getMeter('@spillway/breaker') } = options;
  const counter = (name: string, unit: string, description: string) =>
    meter.createCounter(`spillway.breaker.${name}`, { unit, description, valueType: ValueType.INT });
  const duration = (name: string, description: string, explicitBucketBoundaries: number[]) =>
    meter.createHistogram(`spillway.breaker.${name}`, { unit: 's', description, advice: { explicitBucketBoundaries } });

  const calls = counter('calls', '{call}', 'Calls by outcome; refused ones were not made.');
  const callTimes = duration('call.duration', 'How long the functions took.', CALL_BUCKETS);
  const transitions = counter('transitions', '{transition}', 'Transitions that this instance made.');
  const leases = counter('probe.leases', '{lease}', 'Outcomes of leases for probes.');
  const flushTimes = duration('flush.duration', 'From sending a report to its reply.', FLUSH_BUCKETS);
  const outages = counter('outages', '{outage}', 'Times that Redis went away.');
  const states = new Map<string, readonly [name: string, preset: string, state: string]>();
  meter
    .createObservableGauge('spillway.breaker.state', { description: '1 for the state that this instance acts on.' })
    .addCallback((result) => {
      for (const [name, preset, current] of states.values()) {
        for (const state of STATE_NAMES) {
          result.observe(state === current ? 1 : 0, { ...attributes(name, preset), 'spillway.state': state });
        }
      }
    });
  return {
    state: (name, preset, state) => states.set(`${preset}/${name}`, [name, preset, state]),
    call(name, preset, outcome, durationMs) {
      calls.add(1, { ...attributes(name, preset), 'spillway.outcome': outcome });
      if (outcome !== 'refused') callTimes.record(durationMs / 1000, attributes(name, preset));
    },
    transition: (name, preset, from, to, reason) =>
      transitions.add(1, {
        ...attributes(name, preset),
        'spillway.from': from,
        'spillway.to': to,
        'spillway.reason': reason,
      }),
    lease: (name, preset, event) => leases.add(1, { ...attributes(name, preset), 'spillway.lease': event }),
    flush: ({ durationMs }) => flushTimes.record(durationMs / 1000),
    outage({ kind }) {
      if (kind === 'begin') outages.add(1);
    },
    forget: (name, preset) => states.delete(`${preset}/${name}`),
  };
}

function attributes(name: string, preset: string): Record<string, string> {
  return { 'spillway.breaker': name, 'spillway.preset': preset };
}
