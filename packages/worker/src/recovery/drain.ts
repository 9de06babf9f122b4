import { type Queryable, classifyDbError } from '@spillway/db';
import { call, DEFAULT_SHARDS, MAX_SHARDS, outboxKeys, type RedisClient } from '@spillway/redis';
import { OutboxReader } from '../pump/outbox-reader.ts';
import { beginEpoch } from '../pump/epoch-watch.ts';
import { type SinkTuning, writeLimits } from '../sink/sink.ts';
import { withTimeout } from '../timing.ts';
import { checkedNamespace, wholeNumber, connect, type RedisSource } from '../options.ts';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkerLogger } from '../logger.ts';
import type { WriteLimits } from '../sink/event-writer.ts';
import { writeEntries, type WriteReport } from '../sink/write-entries.ts';
import { AUDIT_QUEUE, type AuditQueue, type MemoryWatch } from '../audit-queue.ts';
import type { WorkerMetrics } from '../worker-metrics.ts';

/** What to drain, and for how long. */
export interface DrainOptions extends Pick<SinkTuning, 'blockRowsPerMinute'> {
  /** The Redis of the limiters: a URL, or a client to copy. */
  readonly redis: RedisSource;
  /** Where rows go: pg's pool or a client. Stays open: it is the caller's. */
  readonly pool: Queryable;
  /** As many as the limiters have. @default 16 */
  readonly shards?: number;
  /** That of the limiters. @default none */
  readonly namespace?: string;
  /**
   * When to stop, in ms. A server that doesn't answer by then is not waited for: what was on its way may still be stored, and is
   * in the outbox all the same, for the next pass. @default 10_000
   */
  readonly budgetMs?: number;
}

/** The result of a pass. */
export interface DrainReport {
  /** Events that were taken out of the outboxes. */
  readonly events: number;
  /** Rows that were new or changed. */
  readonly written: number;
  /** Deliveries that changed nothing, for another pass or a worker had stored them. */
  readonly duplicates: number;
  /** Entries that Postgres refused: rows of `spillway.audit_dead_letters` now. */
  readonly deadLetters: number;
  /** False when the budget ended the pass: call it again. */
  readonly complete: boolean;
}

/** Entries that are stored in one statement. */
const BATCH_SIZE = 500;

/**
 * Moves the events that wait in Redis into Postgres, in one pass of at most `budgetMs`, without a queue: for a route, a cron job, a
 * test, or a deployment without a worker. An event leaves Redis once it is stored, and one that is stored twice is one row,
 * so that passes may overlap with each other and with workers, and may be killed at any point.
 *
 * Maintenance (cleanup, partitions, archival, reconcile) is not part of it.
 * @throws {WorkerOptionError} for an option that can't work; errors of ioredis and pg. Nothing is lost by them.
 * @example A cron route, each minute
 * ```ts
 * const { complete } = await drain({ redis: process.env.REDIS_URL, pool, budgetMs: 20_000 });
 * ```
 */
export async function drain(options: DrainOptions): Promise<DrainReport> {
  const { pool } = options;
  const shards = wholeNumber('shards', options.shards ?? DEFAULT_SHARDS, 1, MAX_SHARDS);
  const namespace = checkedNamespace(options.namespace);
  const budgetMs = wholeNumber('budgetMs', options.budgetMs ?? 10_000, 1, 86_400_000);
  const limits = writeLimits(options);
  const end = performance.now() + budgetMs;
  const left = (): number => Math.ceil(end - performance.now());

  let lastError: Error | undefined;
  const onError = (error: Error): void => void (lastError = error);
  const redis = connect(options.redis, { option: 'redis', connectionName: 'spillway-drain', onError });
  const all = Array.from({ length: shards }, (_, shard) => shard);
  const reader = new OutboxReader({
    redis,
    shards: all,
    namespace,
    consumer: 'drain',
    batchSize: BATCH_SIZE,
    claimIdleMs: 1,
  });
  const report = { events: 0, written: 0, duplicates: 0, deadLetters: 0 };

  /** Rejects when the budget is over, with what kept the servers from answering if that is known. */
  const inTime = async <T>(work: Promise<T>): Promise<T> => withTimeout(Math.max(1, left()), work);

  /** One batch of each outbox. Gives how many events there were. */
  async function round(): Promise<number> {
    let found = 0;
    const batches = storeOldest(reader, pool, limits);
    for (;;) {
      const { value: stored, done } = await inTime(batches.next());
      if (done === true) return found;
      found += stored.events;
      report.events += stored.events;
      report.written += stored.written;
      report.duplicates += stored.duplicates;
      report.deadLetters += stored.deadLetters;
      if (left() <= 0) return found;
    }
  }

  try {
    // A connection that can't be made is told by the connection, not by the command that waits for it.
    await inTime(call(redis, 'PING', [])).catch((error: unknown) => {
      throw lastError ?? error;
    });
    // Numbers that a restarted or replaced Redis would give out again begin in a new epoch, as with a worker.
    await inTime(
      Promise.all(all.map(async (shard) => beginEpoch.run(redis, [outboxKeys(shard, namespace).head], [0, 0]))),
    );
    while (left() > 0) {
      if ((await round()) === 0) return { ...report, complete: true };
    }
    return { ...report, complete: false };
  } catch (error) {
    // What took too long is told only when nothing was achieved: a pass that ran out of its budget is none that failed.
    if (left() > 0 || report.events === 0) throw error;
    return { ...report, complete: false };
  } finally {
    redis.disconnect();
  }
}

/** How often is looked whether Redis is full, and how long is rested after nothing was found or something failed. */
const REST_MS = 500;

/** Jobs whose ids are asked for at once. */
const JOBS_AT_ONCE = 50;

/** What is drained, and where to. */
export interface FullRedisDrainOptions {
  /** The Redis of the limiters. */
  readonly redis: RedisClient;
  readonly shards: number;
  /** As the limiters have it. @default none */
  readonly namespace?: string;
  readonly queue: AuditQueue;
  readonly pool: Queryable;
  readonly memory: MemoryWatch;
  readonly logger: WorkerLogger;
  readonly metrics: WorkerMetrics;
  readonly limits: WriteLimits;
}

/**
 * While Redis is full, moves events into Postgres without the queue: the oldest of each outbox, then those in jobs that
 * nobody works on. Needs no memory of Redis: it reads, and takes out what is stored (XACK and XDEL, and BullMQ's removal of a job,
 * are allowed at `maxmemory`). Any number of workers may do it, beside pumps and sinks: an event that two of them
 * have is stored once, as always.
 */
export function startDrain(options: FullRedisDrainOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  const done = drainDirectly(options, stop.signal);
  return {
    async close() {
      stop.abort();
      await done;
    },
  };
}

async function drainDirectly(options: FullRedisDrainOptions, stop: AbortSignal): Promise<void> {
  const { redis, shards, namespace = '', memory, logger } = options;
  const all = Array.from({ length: shards }, (_, shard) => shard);
  const reader = new OutboxReader({
    redis,
    shards: all,
    namespace,
    consumer: 'drain',
    batchSize: BATCH_SIZE,
    claimIdleMs: 1,
  });
  while (!stop.aborted) {
    let moved = 0;
    try {
      if (memory.isFull()) moved = (await drainOutboxes(options, reader, stop)) + (await drainJobs(options, stop));
    } catch (error) {
      if (!memory.sees(error)) {
        const unavailable = classifyDbError(error) === 'unavailable';
        const what = unavailable ? 'Postgres is unavailable, events wait' : 'events could not be stored, they wait';
        logger.warn({ err: error }, `worker: Redis is full and ${what}`);
      }
    }
    if (moved === 0) await rest(stop);
  }
}

async function drainOutboxes(
  { pool, metrics, limits }: FullRedisDrainOptions,
  reader: OutboxReader,
  stop: AbortSignal,
): Promise<number> {
  let moved = 0;
  for await (const stored of storeOldest(reader, pool, limits)) {
    metrics.stored?.(stored);
    moved += stored.events;
    if (stop.aborted) break;
  }
  return moved;
}

/**
 * Stores the oldest entries of each outbox, a batch after the other, and removes each once it is stored, even if another consumer holds it: it
 * is stored once, as always.
 */
export async function* storeOldest(
  reader: OutboxReader,
  pool: Queryable,
  limits: WriteLimits,
): AsyncGenerator<WriteReport & { readonly events: number }> {
  for await (const entries of reader.oldest()) {
    const report = await writeEntries(pool, 'outbox', entries, limits);
    await reader.release(entries);
    yield { events: entries.length, ...report };
  }
}

async function drainJobs({ queue, pool, metrics, limits }: FullRedisDrainOptions, stop: AbortSignal): Promise<number> {
  let moved = 0;
  const jobs = await queue.getJobs(['waiting', 'delayed', 'active'], 0, JOBS_AT_ONCE - 1, true);
  for (const job of jobs) {
    if (stop.aborted) break;
    // Of an active job with a lock somebody takes care, though it may not be able to say that it is done.
    if (job?.id === undefined) continue;
    const report = await writeEntries(pool, `${AUDIT_QUEUE}/${job.id}`, job.data.entries, limits);
    metrics.stored?.({ events: job.data.entries.length, ...report });
    const removed = await job.remove().then(
      () => true,
      (error: unknown) => {
        if (error instanceof Error && error.message.includes('locked')) return false;
        throw error;
      },
    );
    if (removed) moved += 1;
  }
  return moved;
}

async function rest(stop: AbortSignal): Promise<void> {
  await delay(REST_MS, undefined, { signal: stop }).catch(() => {});
}
