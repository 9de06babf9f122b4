import { Queue, type Telemetry } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import type { AuditEntry } from './audit-entry.ts';

/** The queue between pump and sink. */
export const AUDIT_QUEUE = 'spillway-audit';

/** Prefix of BullMQ's keys; a hash tag, because in Redis Cluster a queue must lie in one slot. */
export const DEFAULT_PREFIX = '{spillway}';

/** The prefix of the queues of a namespace: workers of two namespaces share no job. */
export function queuePrefix(namespace = ''): string {
  return namespace === '' ? DEFAULT_PREFIX : `{spillway:${namespace}}`;
}

/** A hash of counters beside the queue, in its slot. Its field `duplicates`: deliveries that changed nothing. */
function totalsKey(prefix: string): string {
  return `${prefix}:audit-totals`;
}

/** Counts deliveries that changed nothing; for all workers together. */
export async function countDuplicates(
  redis: Pick<Redis | Cluster, 'hincrby'>,
  prefix: string,
  duplicates: number,
): Promise<void> {
  await redis.hincrby(totalsKey(prefix), 'duplicates', duplicates);
}

/** How many were counted since Redis was last emptied. */
export async function readDuplicates(redis: Pick<Redis | Cluster, 'hget'>, queue: AuditQueue): Promise<number> {
  return Number((await redis.hget(totalsKey(queue.opts.prefix ?? DEFAULT_PREFIX), 'duplicates')) ?? 0);
}

/** What one job carries: up to a batch of entries of any shards, in the order in which they were read. */
export interface AuditJobData {
  readonly entries: readonly AuditEntry[];
}

/** The queue, with its job's shape. */
export type AuditQueue = Queue<AuditJobData, unknown, 'events'>;

/**
 * Attempts are for unforeseen errors (a missing table during a deployment): about 17 minutes of them. An
 * absent Postgres uses none. A job that fails in the end stays, because it holds events that are nowhere else.
 */
const jobOptions = {
  attempts: 10,
  backoff: { type: 'exponential', delay: 1_000 },
  removeOnComplete: { count: 20 },
  removeOnFail: false,
} as const;

/** Where a queue lives. */
export interface AuditQueueOptions {
  /** Not shared with connections that decide requests; stays open when the queue closes. */
  readonly connection: Redis | Cluster;
  /** @default '{spillway}' */
  readonly prefix?: string;
  /** How jobs carry the context of a trace. @default they don't */
  readonly telemetry?: Telemetry;
  /** Called on connection errors. */
  readonly onError: (error: Error) => void;
}

/** Opens the producer's side of the queue. */
export function createAuditQueue(options: AuditQueueOptions): AuditQueue {
  const { connection, prefix = DEFAULT_PREFIX, telemetry, onError } = options;
  const queue: AuditQueue = new Queue(AUDIT_QUEUE, {
    connection,
    prefix,
    defaultJobOptions: jobOptions,
    ...(telemetry === undefined ? {} : { telemetry }),
  });
  queue.on('error', onError);
  return queue;
}
