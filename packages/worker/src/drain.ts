import type { Queryable } from '@spillway/db';
import { call, DEFAULT_SHARDS, MAX_SHARDS, outboxKeys } from '@spillway/redis';
import { connect, type RedisSource } from './connections.ts';
import { checkedNamespace, wholeNumber } from './errors.ts';
import { OutboxReader } from './pump/outbox-reader.ts';
import { beginEpoch } from './pump/scripts.ts';
import { storeOldest } from './queue/drain-directly.ts';
import { type SinkTuning, writeLimits } from './sink/sink.ts';
import { withTimeout } from './with-timeout.ts';

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

/** What a pass came to. */
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
