import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';

/** How a job of events ended. `postponed`: Postgres was away, and the same job is tried again. */
export type JobOutcome = 'stored' | 'failed' | 'postponed';

/**
 * Metrics of the sink, as plain callbacks; missing ones cost nothing. They must
 * be quick and must not throw.
 */
export interface WorkerMetrics {
  /** The sink was done with a job, after `durationMs`. */
  readonly job?: (outcome: JobOutcome, durationMs: number) => void;
  /** What a page of events came to that was stored. */
  readonly stored?: (report: {
    readonly events: number;
    readonly written: number;
    readonly deadLetters: number;
  }) => void;
}

/** A worker's metrics, and the registry that holds them. */
export interface WorkerRegistry {
  /** For `startMaintenance`, which adds the monitor's measurements and serves all at `/metrics`. */
  readonly registry: Registry;
  /** For `startWorker`. */
  readonly metrics: WorkerMetrics;
}

/** From 1 ms to a minute: a job of 500 events takes about 10 ms. */
const JOB_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60];

/**
 * Makes a registry with prom-client's metrics of the process and counters for the sink. No label has more
 * values than a handful.
 * @example
 * ```ts
 * const { registry, metrics } = workerRegistry();
 * const maintenance = await startMaintenance({ ...options, registry });
 * const worker = startWorker({ ...options, metrics });
 * ```
 */
export function workerRegistry(): WorkerRegistry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const counter = (name: string, help: string): Counter =>
    new Counter({ name: `spillway_worker_${name}_total`, help, registers });
  const events = counter('stored_events', 'Events that this worker stored.');
  const rows = counter('written_rows', 'Rows that this worker inserted or changed.');
  const refused = counter('dead_lettered_events', 'Events that Postgres refused and this worker kept as dead letters.');
  const jobs = new Counter({
    name: 'spillway_worker_jobs_total',
    help: 'Jobs by outcome; postponed ones are retried.',
    labelNames: ['outcome'] as const,
    registers,
  });
  for (const outcome of ['stored', 'failed', 'postponed'] as const) jobs.inc({ outcome }, 0);
  const durations = new Histogram({
    name: 'spillway_worker_sink_duration_seconds',
    help: 'Time that the sink took for a job.',
    buckets: JOB_BUCKETS,
    registers,
  });
  return {
    registry,
    metrics: {
      job(outcome, durationMs) {
        jobs.inc({ outcome });
        durations.observe(durationMs / 1_000);
      },
      stored(report) {
        events.inc(report.events);
        rows.inc(report.written);
        refused.inc(report.deadLetters);
      },
    },
  };
}
