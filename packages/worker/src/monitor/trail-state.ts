import { outboxKeys } from '@spillway/redis';
import type { Cluster, Redis } from 'ioredis';
import { type OutboxHead, readHeads } from '../outbox-head.ts';
import { redisNowMs } from '../redis-clock.ts';
import { type AuditQueue, readDuplicates } from '../queue/audit-queue.ts';

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
