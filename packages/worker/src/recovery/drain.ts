import { type Queryable, classifyDbError } from '@spillway/db';
import { call, DEFAULT_SHARDS, MAX_SHARDS, outboxKeys } from '@spillway/redis';
import { beginEpoch } from '../pump/epoch-watch.ts';
import { type SinkTuning, writeLimits } from '../sink/sink.ts';
import { TimeoutError, withTimeout } from '../timing.ts';
import { checkedNamespace, wholeNumber, connect, type RedisSource } from '../options.ts';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkerLogger } from '../logger.ts';
import { reasonOf, type WriteLimits } from '../sink/event-writer.ts';
import { drainOutboxes, type OutboxSource, PageSize, UnreadOutboxesError } from '../sink/drain-outboxes.ts';
import type { MemoryWatch } from '../audit-queue.ts';
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
  /** Events that could not be stored for a reason that may pass, and are in their outboxes. */
  readonly waiting: number;
  /** Shards whose outboxes could not be read. */
  readonly unread: readonly number[];
  /** Why events wait or an outbox could not be read, the first reason. @default nothing of both */
  readonly reason?: string;
  /** False when the budget ended the pass, events wait, or an outbox could not be read: call it again. */
  readonly complete: boolean;
}

/**
 * Moves the events that wait in Redis into Postgres, in one pass of at most `budgetMs`, without a queue: for a route, a cron job, a
 * test, or a deployment without a worker. An event leaves Redis once it is stored, and one that is stored twice is one row,
 * so that passes may overlap with each other and with workers, and may be killed at any point.
 *
 * An outbox that can't be read and a table that takes no rows hold up no others: the report names them.
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
  const report = { events: 0, written: 0, duplicates: 0, deadLetters: 0 };
  let [waiting, unread]: [number, readonly number[]] = [0, []];
  let reason: string | undefined;

  /** Rejects when the budget is over, with what kept the servers from answering if that is known. */
  const inTime = async <T>(work: Promise<T>): Promise<T> => withTimeout(Math.max(1, left()), work);

  const page = new PageSize();
  /** Whether the outboxes were read to their ends, or nearly so: what comes meanwhile is the next pass'. */
  async function pass(): Promise<boolean> {
    waiting = 0;
    const source = { redis, namespace, page };
    const pages = drainOutboxes(all, source, { pool, limits, sourceJob: 'outbox' });
    for (;;) {
      const { value: stored, done } = await inTime(pages.next());
      if (done === true) return true;
      report.events += stored.entries.length;
      report.written += stored.written;
      report.duplicates += stored.duplicates;
      report.deadLetters += stored.deadLetters;
      for (const { entries, error } of stored.waiting) {
        waiting += entries.length;
        reason ??= reasonOf(error);
      }
      if (left() <= 0) return false;
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
    const isRead = left() > 0 && (await smallerIfNeeded(page, left, pass));
    return { ...report, waiting, unread, ...reasonIf(reason), complete: isRead && waiting === 0 };
  } catch (error) {
    // What took too long is told only when nothing was achieved: a pass that ran out of its budget is none that failed.
    const isRead = error instanceof UnreadOutboxesError;
    if (!isRead && (left() > 0 || report.events === 0)) throw error;
    if (isRead) {
      unread = error.shards;
      reason ??= error.message;
    }
    return { ...report, waiting, unread, ...reasonIf(reason), complete: false };
  } finally {
    redis.disconnect();
  }
}

function reasonIf(reason: string | undefined): Pick<DrainReport, 'reason'> {
  return reason === undefined ? {} : { reason };
}

/** Whether it may be that a page was too large for the time that a server had for it. */
function isTooMuch(error: unknown): boolean {
  return error instanceof TimeoutError || classifyDbError(error) === 'unavailable';
}

/** Passes with smaller and smaller pages while these may be what takes too long. */
async function smallerIfNeeded(page: PageSize, left: () => number, pass: () => Promise<boolean>): Promise<boolean> {
  for (;;) {
    const { size } = page;
    try {
      return await pass();
    } catch (error) {
      if (!isTooMuch(error) || page.size === size || left() <= 0) throw error;
    }
  }
}

/** How often is looked whether Redis is full, and how long is rested after nothing was found or something failed. */
const REST_MS = 500;

/** What is drained, and where to. */
export interface FullRedisDrainOptions {
  /** Where the events are. */
  readonly outboxes: Omit<OutboxSource, 'page'>;
  readonly shards: number;
  readonly pool: Queryable;
  readonly memory: MemoryWatch;
  readonly logger: WorkerLogger;
  readonly metrics: WorkerMetrics;
  readonly limits: WriteLimits;
}

/**
 * While Redis is full, moves events into Postgres without the queue, which needs memory of Redis. A drain needs none: it reads, and takes
 * out what is stored. Any number of workers may do it, beside pumps and sinks.
 */
export function startDrain(options: FullRedisDrainOptions): { close(): Promise<void> } {
  const stop = new AbortController();
  const done = drainWhileFull(options, stop.signal);
  return {
    async close() {
      stop.abort();
      await done;
    },
  };
}

async function drainWhileFull(options: FullRedisDrainOptions, stop: AbortSignal): Promise<void> {
  const { memory, logger } = options;
  const page = new PageSize();
  while (!stop.aborted) {
    let moved = 0;
    try {
      if (memory.isFull()) moved = await drainOnce(options, page, stop);
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

async function drainOnce(
  { outboxes, shards, pool, metrics, limits, logger }: FullRedisDrainOptions,
  size: PageSize,
  stop: AbortSignal,
): Promise<number> {
  const all = Array.from({ length: shards }, (_, shard) => shard);
  const source = { ...outboxes, page: size };
  let moved = 0;
  for await (const page of drainOutboxes(all, source, { pool, limits, sourceJob: 'outbox' })) {
    const { entries, written, deadLetters, waiting } = page;
    metrics.stored?.({ events: entries.length, written, deadLetters });
    for (const { type, error } of waiting) {
      logger.warn({ err: error, type }, 'worker: Redis is full and events could not be stored, they wait');
    }
    moved += entries.length;
    if (stop.aborted) break;
  }
  return moved;
}

async function rest(stop: AbortSignal): Promise<void> {
  await delay(REST_MS, undefined, { signal: stop }).catch(() => {});
}
