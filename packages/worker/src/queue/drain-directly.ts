import { setTimeout as delay } from 'node:timers/promises';
import { classifyDbError, type Queryable } from '@spillway/db';
import type { RedisClient } from '@spillway/redis';
import type { WorkerLogger } from '../logger.ts';
import { OutboxReader } from '../pump/outbox-reader.ts';
import type { WriteLimits } from '../sink/event-writer.ts';
import { writeEntries, type WriteReport } from '../sink/write-entries.ts';
import type { WorkerMetrics } from '../worker-metrics.ts';
import { AUDIT_QUEUE, type AuditQueue } from './audit-queue.ts';
import type { MemoryWatch } from './memory-watch.ts';

/** How often is looked whether Redis is full, and how long is rested after nothing was found or something failed. */
const REST_MS = 500;

/** Jobs whose ids are asked for at once. */
const JOBS_AT_ONCE = 50;

/** Entries that are stored in one statement. */
const BATCH_SIZE = 500;

/** What is drained, and where to. */
export interface DrainOptions {
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
export function startDrain(options: DrainOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  const done = drainDirectly(options, stop.signal);
  return {
    async close() {
      stop.abort();
      await done;
    },
  };
}

async function drainDirectly(options: DrainOptions, stop: AbortSignal): Promise<void> {
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
  { pool, metrics, limits }: DrainOptions,
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

async function drainJobs({ queue, pool, metrics, limits }: DrainOptions, stop: AbortSignal): Promise<number> {
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
