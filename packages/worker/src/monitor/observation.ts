import type { Sample, TrailHealth } from '@spillway/db';
import { type OutboxHead, readHead } from '../outbox.ts';
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
  const oldestEventAgeMs = age(trail.oldestOutboxMs);
  const recorded = new Map(vitals.dropped.map(({ shard, epoch, count }) => [`${shard}/${epoch}`, count]));
  const droppedNew = trail.heads.reduce(
    (sum, { shard, epoch, dropped }) => sum + Math.max(0, dropped - (recorded.get(`${shard}/${epoch}`) ?? 0)),
    0,
  );
  return {
    oldestEventAgeMs,
    heads: trail.heads,
    samples: [
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
  /** Jobs that wait or run. */
  readonly queueJobs: number;
  /** Jobs whose last attempt failed; they are tried again until they succeed. */
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

/** Makes what reads it, and waits as long as Redis makes it wait. It remembers outboxes in which nothing happens. */
export function trailReader(source: TrailSource): () => Promise<TrailState> {
  const { redis, queueRedis, queue, shards, namespace = '' } = source;
  const outboxes = Array.from({ length: shards }, (_, shard) => outboxWatch(redis, shard, namespace));
  return async () => {
    const [nowMs, seen, queued, duplicates] = await Promise.all([
      redisNowMs(redis),
      Promise.all(outboxes.map(async (look) => look())),
      readQueue(queue),
      readDuplicates(queueRedis, queue),
    ]);
    const heads = seen.map(({ head }) => head);
    return {
      redisNowMs: nowMs,
      outboxEvents: seen.reduce((sum, { events }) => sum + events, 0),
      oldestOutboxMs: earliest(seen.map(({ oldest }) => oldest)),
      dropped: heads.reduce((sum, { dropped }) => sum + dropped, 0),
      heads,
      duplicates,
      ...queued,
    };
  };
}

async function readQueue(queue: AuditQueue): Promise<Pick<TrailState, 'queueJobs' | 'failedJobs'>> {
  const { waiting = 0, active = 0, delayed = 0, failed = 0 } = await queue.getJobCounts(...STATES);
  return { queueJobs: waiting + active + delayed, failedJobs: delayed + failed };
}

/** A job is delayed after an attempt that failed. */
const STATES = ['waiting', 'active', 'delayed', 'failed'] as const;

/** Looks at an outbox in which nothing happens for which its counters are not read again. */
const LOOKS_PER_HEAD = 12;

interface OutboxState {
  readonly events: number;
  /** The first entry's id. */
  readonly oldest: string | undefined;
  /** The id that was given last. */
  readonly last: string | undefined;
}

/**
 * Looks at one outbox. Its counters move with an entry or, while it is full, with an event that was dropped: where it was
 * empty and is empty, and no entry came, they are what they were. What was changed by hand is seen some looks later.
 */
function outboxWatch(
  redis: Redis | Cluster,
  shard: number,
  namespace: string,
): () => Promise<OutboxState & { readonly head: OutboxHead }> {
  const { stream } = outboxKeys(shard, namespace);
  let before: (OutboxState & { readonly head: OutboxHead }) | undefined;
  let looksLeft = 0;
  return async () => {
    const state = await readOutbox(redis, stream);
    const isStill = state.events === 0 && before?.events === 0 && state.last === before.last;
    looksLeft -= 1;
    const known = isStill && looksLeft > 0 ? before?.head : undefined;
    if (known === undefined) looksLeft = LOOKS_PER_HEAD;
    const head = known ?? (await readHead(redis, shard, namespace));
    before = { ...state, head };
    return before;
  };
}

async function readOutbox(redis: Redis | Cluster, stream: string): Promise<OutboxState> {
  const flat = await redis.xinfo('STREAM', stream).catch((error: unknown) => {
    // Before the first event and the first worker there is no stream.
    if (error instanceof Error && error.message.includes('no such key')) return [];
    throw error;
  });
  const facts: readonly unknown[] = Array.isArray(flat) ? flat : [];
  const fact = (name: string): unknown => facts[facts.indexOf(name) + 1];
  const [last, first] = facts.length === 0 ? [] : [fact('last-generated-id'), fact('first-entry')];
  return {
    events: facts.length === 0 ? 0 : Number(fact('length')),
    oldest: Array.isArray(first) ? String(first[0]) : undefined,
    last: typeof last === 'string' ? last : undefined,
  };
}

/** A stream's ids begin with the time at which they were made. */
function earliest(ids: readonly (string | undefined)[]): number | null {
  const times = ids.flatMap((id) => (id === undefined ? [] : [Number(id.split('-')[0])]));
  return times.length === 0 ? null : Math.min(...times);
}
