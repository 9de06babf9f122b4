import type { Sample, TrailHealth } from '@spillway/db';
import { type OutboxHead, readHeads } from '../outbox.ts';
import { outboxKeys } from '@spillway/redis';
import type { Cluster, Redis } from 'ioredis';
import { redisNowMs } from '../timing.ts';
import { type AuditQueue, readDuplicates } from '../audit-queue.ts';

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

/** What Redis knows about the audit trail's way to Postgres. */
export interface TrailState {
  /** Redis' clock, epoch milliseconds. */
  readonly redisNowMs: number;
  /** Events in all outboxes. */
  readonly outboxEvents: number;
  /** When the oldest of them happened, epoch milliseconds by Redis' clock; null when there is none. */
  readonly oldestOutboxMs: number | null;
  /** The same of those in the queue. */
  readonly oldestQueueMs: number | null;
  /** Jobs that wait or run. */
  readonly queueJobs: number;
  /** Jobs that failed for good and hold events that are nowhere else. */
  readonly failedJobs: number;
  /** Events refused because an outbox was full, since Redis was last emptied. */
  readonly dropped: number;
  /** The counters of each outbox. */
  readonly heads: readonly OutboxHead[];
  /** Events that were delivered again and changed nothing, since the queue's Redis was last emptied. */
  readonly duplicates: number;
}

/** Where it is read. */
export interface TrailSource {
  /** The Redis of the limiters. */
  readonly redis: Redis | Cluster;
  /** The Redis of the queue. */
  readonly queueRedis: Redis | Cluster;
  readonly queue: AuditQueue;
  readonly shards: number;
  /** As the limiters have it. @default none */
  readonly namespace?: string;
}

/** Reads it; waits as long as Redis makes it wait. */
export async function readTrailState(source: TrailSource): Promise<TrailState> {
  const { redis, queueRedis, queue, shards, namespace = '' } = source;
  const [nowMs, heads, outboxes, waiting, counts, duplicates] = await Promise.all([
    redisNowMs(redis),
    readHeads(redis, shards, namespace),
    Promise.all(
      Array.from({ length: shards }, async (_, shard) => readOutbox(redis, outboxKeys(shard, namespace).stream)),
    ),
    // Oldest first of each state.
    Promise.all((['waiting', 'active', 'delayed'] as const).map(async (state) => queue.getJobs([state], 0, 0, true))),
    queue.getJobCounts('waiting', 'active', 'delayed', 'failed'),
    readDuplicates(queueRedis, queue),
  ]);
  // A job may be removed while it is read.
  const entries = waiting.flat().map((job) => job?.data.entries[0]?.[1]);
  return {
    redisNowMs: nowMs,
    outboxEvents: outboxes.reduce((sum, { events }) => sum + events, 0),
    oldestOutboxMs: earliest(outboxes.map(({ oldest }) => oldest)),
    oldestQueueMs: earliest(entries),
    queueJobs: (counts['waiting'] ?? 0) + (counts['active'] ?? 0) + (counts['delayed'] ?? 0),
    failedJobs: counts['failed'] ?? 0,
    dropped: heads.reduce((sum, { dropped }) => sum + dropped, 0),
    heads,
    duplicates,
  };
}

interface OutboxState {
  readonly events: number;
  /** The first entry's id. */
  readonly oldest: string | undefined;
}

async function readOutbox(redis: Redis | Cluster, stream: string): Promise<OutboxState> {
  const events = await redis.xlen(stream);
  if (events === 0) return { events, oldest: undefined };
  const [first] = await redis.xrange(stream, '-', '+', 'COUNT', 1);
  return { events, oldest: first?.[0] };
}

/** A stream's ids begin with the time at which they were made. */
function earliest(ids: readonly (string | undefined)[]): number | null {
  const times = ids.flatMap((id) => (id === undefined ? [] : [Number(id.split('-')[0])]));
  return times.length === 0 ? null : Math.min(...times);
}
