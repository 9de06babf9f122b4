import type { Sample } from '@spillway/db';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { MonitorState } from './monitor.ts';
import { metrics } from '@opentelemetry/api';

/** One sample's name in `system_metrics` as one metric. */
export interface TrailMetric {
  readonly sample: string;
  readonly name: string;
  readonly help: string;
  /** A sample is divided by it: durations are seconds here, and milliseconds there. */
  readonly divisor: number;
  /** A total that only grows, apart from an emptied Redis or a restart. */
  readonly counts: boolean;
  /** The sample's tag that becomes a label. */
  readonly tag?: string;
}

const gauge = (sample: string, name: string, help: string, tag?: string): TrailMetric => ({
  sample,
  name: `spillway_worker_${name}`,
  help,
  divisor: 1,
  counts: false,
  ...(tag === undefined ? {} : { tag }),
});
const seconds = (...args: Parameters<typeof gauge>): TrailMetric => ({ ...gauge(...args), divisor: 1_000 });
const total = (...args: Parameters<typeof gauge>): TrailMetric => ({ ...gauge(...args), counts: true });

/** `job` is the label that Prometheus gives to whatever it scrapes. */
const JOB_LABEL = 'maintenance_job';

const ofFleet = 'All workers report the same.';

const trailMetrics: readonly TrailMetric[] = [
  seconds(
    'audit_oldest_event_age_ms',
    'oldest_event_age_seconds',
    `Age of the oldest event that is not stored yet. ${ofFleet}`,
  ),
  gauge('audit_outbox_events', 'outbox_events', `Events in the outboxes. ${ofFleet}`),
  gauge('audit_queue_jobs', 'queue_jobs', `Jobs of events that are waiting or running. ${ofFleet}`),
  gauge('audit_failed_jobs', 'failed_jobs', `Jobs whose last attempt failed; they are retried. ${ofFleet}`),
  gauge('audit_dead_letters', 'dead_letters', `Refused events that wait to be replayed. ${ofFleet}`),
  total('audit_dropped_total', 'dropped_events_total', `Events lost because an outbox was full. ${ofFleet}`),
  gauge('audit_blocks_capped', 'blocks_capped', `Blocks of the last ten minutes that have no row. ${ofFleet}`),
  gauge('audit_missing_events', 'missing_events', `Events that the reconcile job found nowhere. ${ofFleet}`),
  total(
    'audit_duplicates_total',
    'duplicate_events_total',
    `Events that were delivered again and changed nothing. ${ofFleet}`,
  ),
  seconds('clock_skew_ms', 'clock_skew_seconds', 'How far a clock is ahead of that of Postgres.', 'clock'),
  gauge(
    'partition_months_ready',
    'partition_months_ready',
    `Partitions of an archive for the months after this one. ${ofFleet}`,
    'table',
  ),
  gauge(
    'partition_days_ready',
    'partition_days_ready',
    `Partitions of a table for the days after this one. ${ofFleet}`,
    'table',
  ),
  seconds(
    'job_last_success_age_ms',
    'job_last_success_age_seconds',
    `Time since a job last succeeded. ${ofFleet}`,
    'job',
  ),
  seconds('job_duration_ms', 'job_duration_seconds', `Duration of a job's last success. ${ofFleet}`, 'job'),
];

/**
 * Puts what the observer saw last into a registry, at each scrape. Values that were not seen are absent rather than old:
 * `spillway_worker_observed_age_seconds` says how old the others are, and is absent itself when there are none.
 */
export function registerTrailGauges(registry: Registry, state: () => MonitorState): void {
  for (const metric of trailMetrics) registerOne(registry, metric, state);
  const age = new Gauge({
    name: 'spillway_worker_observed_age_seconds',
    help: 'Time since this worker last measured the trail.',
    registers: [registry],
    collect() {
      age.reset();
      const seen = state();
      if (seen.kind === 'seen') age.set(seen.ageMs / 1_000);
      else age.remove();
    },
  });
}

function registerOne(registry: Registry, metric: TrailMetric, state: () => MonitorState): void {
  const { name, help, tag } = metric;
  const label = tag === 'job' ? JOB_LABEL : tag;
  const labelNames = label === undefined ? [] : [label];
  const set = (put: (labels: Record<string, string>, value: number) => void): void => {
    for (const { tags, value } of samplesOf(state(), metric.sample)) {
      put(tag === undefined || label === undefined ? {} : { [label]: tags[tag] ?? '' }, value / metric.divisor);
    }
  };
  if (metric.counts) {
    const counter = new Counter({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        counter.reset();
        set((labels, value) => counter.inc(labels, value));
      },
    });
    return;
  }
  const instrument = new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      instrument.reset();
      if (label === undefined) instrument.remove();
      set((labels, value) => instrument.set(labels, value));
    },
  });
}

/** The samples of that name that were seen last; none when nothing was. */
function samplesOf(state: MonitorState, name: string): readonly Sample[] {
  return state.kind === 'seen' ? state.observation.samples.filter((sample) => sample.name === name) : [];
}

/**
 * What the observer saw last, as OpenTelemetry's metrics: those of `/metrics` under dotted names, `spillway.worker.…`. The tags
 * of a sample are its attributes. Samples that were never observed are not sent.
 */
export function registerTrailMeters(state: () => MonitorState): void {
  const meter = metrics.getMeter('@spillway/worker');
  for (const { sample, name, help, divisor, counts } of trailMetrics) {
    const short = name.replace('spillway_worker_', '').replace(/_(?:seconds|total)$/u, '');
    const options = { description: help, unit: divisor === 1_000 ? 's' : '1' };
    const instrument = counts
      ? meter.createObservableCounter(`spillway.worker.${short}`, options)
      : meter.createObservableGauge(`spillway.worker.${short}`, options);
    instrument.addCallback((result) => {
      for (const { value, tags } of samplesOf(state(), sample)) result.observe(value / divisor, tags);
    });
  }
}
