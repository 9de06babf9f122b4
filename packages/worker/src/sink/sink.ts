import { classifyDbError, type Queryable, recordMetrics, type Sample } from '@spillway/db';
import { Worker, type Job, type WorkerOptions as BullOptions, type Telemetry } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import { type WorkerLogger, isUnmigrated } from '../logger.ts';
import type { WriteLimits } from './event-writer.ts';
import { writeEntries, type WriteReport } from './write-entries.ts';
import { withTimeout, repeat, redisNowMs } from '../timing.ts';
import {
  AUDIT_QUEUE,
  countDuplicates,
  DEFAULT_PREFIX,
  type AuditJobData,
  type MemoryWatch,
  restAfterErrors,
} from '../audit-queue.ts';
import { wholeNumber } from '../options.ts';
import type { AuditEntry } from '../outbox.ts';
import type { JobOutcome, WorkerMetrics } from '../worker-metrics.ts';

/** Jobs at once, delays and the cap of rows. */
export interface SinkTuning {
  /** Jobs at once; each uses one connection of the pool. @default 2 */
  readonly concurrency?: number;
  /** How long jobs wait when Postgres can't take them, in ms, before the next try. @default 1_000 */
  readonly unavailableDelayMs?: number;
  /** How long a job stays with a worker that no longer renews its lock, in ms. @default 5_000 */
  readonly lockMs?: number;
  /**
   * Most rows of `rate_limits_v2` for blocks that began in one minute, in the whole fleet; null: a row for every block. A client that
   * invents identities causes any number of blocks, each with a row. Blocks beyond are counted in `spillway.audit_gaps`, kind
   * `blocks_capped`, by outbox and tier, and an alert opens. @default 6_000
   */
  readonly blockRowsPerMinute?: number | null;
}

/**
 * What the sink may make of events.
 * @throws {WorkerOptionError}
 */
export function writeLimits({ blockRowsPerMinute = 6_000 }: SinkTuning): WriteLimits {
  const most = 1_000_000_000;
  return {
    blockRowsPerMinute:
      blockRowsPerMinute === null ? null : wholeNumber('blockRowsPerMinute', blockRowsPerMinute, 1, most),
  };
}

/** What the sink takes from where to where. */
export interface SinkOptions extends SinkTuning {
  /** The queue's Redis. The sink opens one more connection like this one. */
  readonly connection: Redis | Cluster;
  /** @default '{spillway}' */
  readonly prefix?: string;
  /** pg's pool, or anything of pg that runs a statement: rows travel as buffers, which pg sends as binary parameters. */
  readonly pool: Queryable;
  readonly memory: MemoryWatch;
  readonly logger: WorkerLogger;
  /** @default none */
  readonly metrics?: WorkerMetrics;
  /** How jobs carry the context of a trace. @default they don't */
  readonly telemetry?: Telemetry;
}

/** A running sink. */
export interface Sink {
  /** Stops taking jobs, finishes those in progress, then resolves. Waits for Redis and Postgres if they are away. */
  close(): Promise<void>;
  /** Closes its connections at once. Other workers take over its jobs when their locks expire. */
  disconnect(): void;
}

/**
 * A killed worker's jobs start again elsewhere: its locks, renewed twice a lockDuration, run out within one, and two looks for
 * stalled jobs later somebody has them. Measured: see bench/README.md. However often that happens: a job that outlives many
 * deployments isn't at fault. A live worker that stands still for a whole lockDuration has its job done twice, which here
 * is the same as once.
 */
const recovery = (lockMs: number): Pick<BullOptions, 'lockDuration' | 'stalledInterval' | 'maxStalledCount'> => ({
  lockDuration: lockMs,
  stalledInterval: Math.ceil(0.8 * lockMs),
  maxStalledCount: 1_000,
});

/** A clock that is ahead by more hides a failed job for longer than its shortest delay, in ms. */
const AHEAD_MS = 1_000;

/** How long Redis may take to tell its time, in ms. */
const CLOCK_TIMEOUT_MS = 1_000;

/** How often the events' lag is recorded, in ms. */
const LAG_INTERVAL_MS = 10_000;

/**
 * How long one command of an idle sink waits in Redis for a job, in seconds. A job that is added ends the wait; it is an end in itself
 * only for one whose announcement was lost.
 */
const DRAIN_DELAY_S = 15;

/** A week of minutes, for the queue's throughput. */
const METRIC_POINTS = 7 * 24 * 60;

type AuditJob = Job<AuditJobData, WriteReport, 'events'>;

/**
 * Starts writing queued events into Postgres. Any number of sinks share the work.
 *
 * While Postgres is away or not migrated no job fails and none uses up an attempt: the queue pauses and tries again. Rows
 * that Postgres refuses become dead letters. Everything else is a fault of ours: the job is tried again with growing delays
 * and stays in the queue as failed.
 * @throws {WorkerOptionError} for an option that can't work.
 */
export function createSink(options: SinkOptions): Sink {
  const { connection, prefix = DEFAULT_PREFIX, pool, memory, logger, metrics = {} } = options;
  const concurrency = wholeNumber('concurrency', options.concurrency ?? 2, 1, 1_000);
  const lockMs = wholeNumber('lockMs', options.lockMs ?? 5_000, 100, 600_000);
  const restMs = wholeNumber('unavailableDelayMs', options.unavailableDelayMs ?? 1_000, 1, 3_600_000);

  const limits = writeLimits(options);
  const meter = new LagMeter();
  const stop = new AbortController();
  void repeat(LAG_INTERVAL_MS, stop.signal, async () => recordLag(meter, pool, connection));

  const write = async (job: AuditJob): Promise<WriteReport> => {
    const startedAt = performance.now();
    const end = (outcome: JobOutcome): void => metrics.job?.(outcome, performance.now() - startedAt);
    try {
      const report = await writeEntries(pool, `${AUDIT_QUEUE}/${job.id}`, job.data.entries, limits);
      end('stored');
      meter.committed(job.data.entries);
      metrics.stored?.({ events: job.data.entries.length, ...report });
      // Not awaited: a count is not worth a delay, and certainly not a second try.
      if (report.duplicates > 0) void countDuplicates(connection, prefix, report.duplicates).catch(() => {});
      return report;
    } catch (error) {
      const isUnavailable = classifyDbError(error) === 'unavailable' || isUnmigrated(error);
      end(isUnavailable ? 'postponed' : 'failed');
      if (!isUnavailable) {
        if (!(await isAhead(connection))) throw error;
        logger.error(
          { err: error, jobId: job.id },
          'sink: a job failed on a clock that is ahead, it waits for any worker',
        );
        rest();
        throw Worker.RateLimitError();
      }
      logger.warn({ err: error, jobId: job.id, restMs }, 'sink: Postgres is unavailable, events wait in the queue');
      // The rest of all workers is a key in Redis. Where there is no room for it, this one rests alone.
      await worker.rateLimit(restMs).catch((refusal: Error) => {
        memory.sees(refusal);
        rest();
      });
      throw Worker.RateLimitError();
    }
  };
  const worker = new SinkWorker(AUDIT_QUEUE, write, {
    connection,
    prefix,
    concurrency,
    ...recovery(lockMs),
    // The library's pause after a lost connection is 15 s.
    runRetryDelay: 1_000,
    drainDelay: DRAIN_DELAY_S,
    metrics: { maxDataPoints: METRIC_POINTS },
    ...(options.telemetry === undefined ? {} : { telemetry: options.telemetry }),
  });
  const { rest } = restAfterErrors(worker, restMs);
  listen(worker, memory, logger);
  return {
    close: () => {
      stop.abort();
      return worker.close();
    },
    disconnect: () => void worker.disconnect().catch(() => {}),
  };
}

/** A sample that can't be recorded is not worth a word: what keeps it from being recorded is told elsewhere. */
async function recordLag(meter: LagMeter, pool: Queryable, redis: Redis | Cluster): Promise<void> {
  try {
    const samples = meter.take();
    if (samples.length > 0) await recordMetrics(pool, samples);
    meter.redisAheadMs = (await withTimeout(CLOCK_TIMEOUT_MS, redisNowMs(redis))) - Date.now();
  } catch {
    // The next one will be.
  }
}

/**
 * Whether this process' clock is ahead of Redis'. The library would keep a failed job until a time by this clock, so that
 * for as long no other worker could try it. Its attempts aren't counted here then: it goes back to all, and this worker rests.
 */
async function isAhead(redis: Redis | Cluster): Promise<boolean> {
  return withTimeout(CLOCK_TIMEOUT_MS, redisNowMs(redis)).then(
    (nowMs) => Date.now() - nowMs > AHEAD_MS,
    () => false,
  );
}

/**
 * Redis' refusal to note that a job is done (it is full, can't save, was demoted, loads its data) isn't the job's fault, so that
 * it uses up no attempt: it goes back, or to another worker once its lock has run out, and done twice is the same as once.
 */
class SinkWorker extends Worker<AuditJobData, WriteReport, 'events'> {
  protected override async handleFailed(
    ...[error, ...rest]: Parameters<Worker<AuditJobData, WriteReport, 'events'>['handleFailed']>
  ): ReturnType<Worker<AuditJobData, WriteReport, 'events'>['handleFailed']> {
    return super.handleFailed(error.name === 'ReplyError' ? Worker.RateLimitError() : error, ...rest);
  }
}

function listen(worker: Worker<AuditJobData, WriteReport, 'events'>, memory: MemoryWatch, logger: WorkerLogger): void {
  worker.on('error', (error) => {
    if (!memory.sees(error)) logger.warn({ err: error }, 'sink: Redis connection');
  });
  worker.on('completed', (job, report) => {
    const level = report.deadLetters > 0 || report.reusedNumbers > 0 ? 'warn' : 'debug';
    logger[level]({ jobId: job.id, events: job.data.entries.length, ...report }, 'sink: stored');
  });
  worker.on('failed', (job, error) =>
    logger.error(
      { err: error, jobId: job?.id, attempt: job?.attemptsMade },
      'sink: a job failed, its events stay in it',
    ),
  );
  worker.on('stalled', (jobId) => logger.warn({ jobId }, 'sink: a job of a dead worker starts again'));
}

/** Lags that are kept between two samples; of more, those that come later take the place of earlier ones. */
const MOST = 10_000;

/**
 * How long events took from the moment at which they happened until they were committed in Postgres, by Redis' clock.
 * The age of what waits says nothing about it: in health nothing waits.
 */
export class LagMeter {
  #lags: number[] = [];
  #next = 0;
  /** How far Redis' clock is ahead of this process', in ms. */
  redisAheadMs = 0;

  /** Called when entries were committed. A stream's ids begin with the time at which they were made. */
  committed(entries: readonly AuditEntry[]): void {
    const nowMs = Date.now() + this.redisAheadMs;
    for (const [, id] of entries) {
      const lagMs = Math.max(0, nowMs - Number.parseInt(id, 10));
      if (!Number.isFinite(lagMs)) continue;
      this.#lags[this.#next % MOST] = lagMs;
      this.#next += 1;
    }
  }

  /** Samples of what was committed since the last time; none when nothing was. */
  take(): Sample[] {
    const lags = this.#lags.toSorted((one, other) => one - other);
    this.#lags = [];
    this.#next = 0;
    return [50, 99].flatMap((percent) => {
      const value = lags[Math.ceil((lags.length * percent) / 100) - 1];
      return value === undefined ? [] : [{ name: `audit_event_lag_p${percent}_ms`, value, unit: 'ms', tags: {} }];
    });
  }
}
