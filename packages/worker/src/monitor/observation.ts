import type { Sample, TrailHealth } from '@spillway/db';
import type { OutboxHead } from '../outbox-head.ts';
import type { TrailState } from './trail-state.ts';

/** The archive with the fewest months ready, and how many; see `monthsReady` of @spillway/db. */
export interface MonthsReady {
  readonly table: string;
  readonly months: number;
}

/** What a worker saw at one moment. */
export interface Observation {
  /** How long the oldest event has been on its way to Postgres, in ms; 0 when none is. */
  readonly oldestEventAgeMs: number;
  readonly samples: readonly Sample[];
  /** The counters of all outboxes. */
  readonly heads: readonly OutboxHead[];
}

/** Where the parts come from. */
export interface ObservationParts {
  readonly trail: TrailState;
  readonly vitals: TrailHealth;
  readonly monthsReady: readonly MonthsReady[];
  /** Days of `system_metrics` after today. */
  readonly metricDaysReady: number;
  /** This process' clock at the moment when Postgres' was read, epoch milliseconds. */
  readonly workerNowMs: number;
}

/** Turns what was read into samples for `system_metrics`. */
export function toObservation({
  trail,
  vitals,
  monthsReady,
  metricDaysReady,
  workerNowMs,
}: ObservationParts): Observation {
  const age = (atMs: number | null): number => (atMs === null ? 0 : Math.max(0, trail.redisNowMs - atMs));
  const flushLagMs = age(trail.oldestOutboxMs);
  const queueAgeMs = age(trail.oldestQueueMs);
  const oldestEventAgeMs = Math.max(flushLagMs, queueAgeMs);
  const recorded = new Map(vitals.dropped.map(({ shard, epoch, count }) => [`${shard}/${epoch}`, count]));
  const droppedNew = trail.heads.reduce(
    (sum, { shard, epoch, dropped }) => sum + Math.max(0, dropped - (recorded.get(`${shard}/${epoch}`) ?? 0)),
    0,
  );
  return {
    oldestEventAgeMs,
    heads: trail.heads,
    samples: [
      sample('audit_flush_lag_ms', flushLagMs, 'ms'),
      sample('audit_queue_age_ms', queueAgeMs, 'ms'),
      sample('audit_oldest_event_age_ms', oldestEventAgeMs, 'ms'),
      sample('audit_outbox_events', trail.outboxEvents, 'events'),
      sample('audit_queue_jobs', trail.queueJobs, 'jobs'),
      sample('audit_failed_jobs', trail.failedJobs, 'jobs'),
      sample('audit_dropped_total', trail.dropped, 'events'),
      sample('audit_dropped_new', droppedNew, 'events'),
      sample('audit_duplicates_total', trail.duplicates, 'events'),
      sample('audit_dead_letters', vitals.deadLetters, 'events'),
      sample('audit_blocks_capped', vitals.blocksCapped, 'events'),
      sample('audit_missing_events', vitals.missing, 'events'),
      sample('clock_skew_ms', trail.redisNowMs - vitals.nowMs, 'ms', { clock: 'redis' }),
      sample('clock_skew_ms', workerNowMs - vitals.nowMs, 'ms', { clock: 'worker' }),
      ...monthsReady.map(({ table, months }) => sample('partition_months_ready', months, 'months', { table })),
      sample('partition_days_ready', metricDaysReady, 'days', { table: 'public.system_metrics' }),
      ...vitals.jobs.flatMap(({ job, successAgeMs, durationMs }) => [
        sample('job_last_success_age_ms', successAgeMs, 'ms', { job }),
        ...(durationMs === null ? [] : [sample('job_duration_ms', durationMs, 'ms', { job })]),
      ]),
    ],
  };
}

function sample(name: string, value: number, unit: string, tags: Readonly<Record<string, string>> = {}): Sample {
  return { name, value: Math.round(value), unit, tags };
}
