import { type Queryable, recordMetrics } from '@spillway/db';
import { Worker, type WorkerOptions as BullOptions, type Telemetry } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import type { WorkerLogger } from '../logger.ts';
import { DEFAULT_BATCH_SIZE, type OutboxSource, PageSize, type StoredPage } from './drain-outboxes.ts';
import type { WriteLimits } from './event-writer.ts';
import { LagMeter } from './lag-meter.ts';
import {
  type AuditJob,
  backoffStrategy,
  faultOf,
  type JobFault,
  type JobReport,
  NOTHING,
  storeEvents,
} from './store-events.ts';
import { isReplyError, withTimeout, repeat, redisNowMs } from '../timing.ts';
import {
  AUDIT_QUEUE,
  countDuplicates,
  DEFAULT_PREFIX,
  type AuditJobData,
  type MemoryWatch,
  restAfterErrors,
} from '../audit-queue.ts';
import { wholeNumber } from '../options.ts';
import type { JobOutcome, WorkerMetrics } from '../worker-metrics.ts';

/** Jobs at once, sizes, delays and the cap of rows. */
export interface SinkTuning {
  /** Jobs at once; each uses one connection of the pool. @default 2 */
  readonly concurrency?: number;
  /** Most events that are stored together, up to 5,000; fewer while Postgres or Redis takes too long. @default 2_000 */
  readonly batchSize?: number;
  /** How long jobs wait when Postgres can't take them, in ms, before the next try. @default 1_000 */
  readonly unavailableDelayMs?: number;
  /** How long a job stays with a worker that no longer renews its lock, in ms. @default 3_000 */
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
  /** Where the events are. */
  readonly outboxes: Omit<OutboxSource, 'page'>;
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
 * A killed worker's jobs start again elsewhere once its locks, renewed twice a lockDuration, have run out: a pump that sees events finds
 * them a second later at most. The library's own look for such jobs is for those that no pump sees, and seldom. However often a job
 * outlives a worker, it isn't at fault. A live worker that stands still for a whole lockDuration has its job done twice, which here
 * is the same as once.
 */
const recovery = (lockMs: number): Pick<BullOptions, 'lockDuration' | 'stalledInterval' | 'maxStalledCount'> => ({
  lockDuration: lockMs,
  stalledInterval: 5 * lockMs,
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

/**
 * Starts storing the events of outboxes that have a job. Any number of sinks share the work.
 *
 * Events stay in their outbox until they are stored. While Postgres is away or not migrated no job fails and none uses up an attempt:
 * the queue pauses and tries again. Rows that Postgres refuses while it takes others become dead letters. Where a table takes no rows its events
 * wait, and events of other types are stored. Everything else is a fault of ours: the job is tried again with growing delays, until it succeeds.
 * From its tenth attempt on, events that alone can't be stored, while others of their type can, become dead letters too.
 * @throws {WorkerOptionError} for an option that can't work.
 */
export function createSink(options: SinkOptions): Sink {
  const { connection, prefix = DEFAULT_PREFIX, pool, memory, logger, metrics = {} } = options;
  const concurrency = wholeNumber('concurrency', options.concurrency ?? 2, 1, 1_000);
  const batchSize = wholeNumber('batchSize', options.batchSize ?? DEFAULT_BATCH_SIZE, 1, 5_000);
  const lockMs = wholeNumber('lockMs', options.lockMs ?? 3_000, 100, 600_000);
  const restMs = wholeNumber('unavailableDelayMs', options.unavailableDelayMs ?? 1_000, 1, 3_600_000);

  const meter = new LagMeter();
  const stop = new AbortController();
  void repeat(LAG_INTERVAL_MS, stop.signal, async () => recordLag(meter, pool, connection));

  const source = { ...options.outboxes, page: new PageSize(batchSize) };
  const from = { source, pool, limits: writeLimits(options), stop: stop.signal, storedAtMs: new Map() };
  const onPage = ({ entries, written, duplicates, deadLetters }: StoredPage): void => {
    meter.committed(entries);
    metrics.stored?.({ events: entries.length, written, deadLetters });
    // Not awaited: a count is not worth a delay, and certainly not a second try.
    if (duplicates > 0) void countDuplicates(connection, prefix, duplicates).catch(() => {});
  };
  const work = async (job: AuditJob): Promise<JobReport> => {
    const startedAt = performance.now();
    const end = (outcome: JobOutcome): void => metrics.job?.(outcome, performance.now() - startedAt);
    try {
      const report = await storeEvents(job, { ...from, onPage });
      end('stored');
      return report;
    } catch (error) {
      const fault = faultOf(error);
      end(fault === 'ours' ? 'failed' : 'postponed');
      return afterFault({ fault, error, job, connection, worker, rest, restMs, memory, logger });
    }
  };
  const worker = new SinkWorker(AUDIT_QUEUE, work, {
    connection,
    prefix,
    concurrency,
    ...recovery(lockMs),
    // The library's pause after a lost connection is 15 s.
    runRetryDelay: 1_000,
    drainDelay: DRAIN_DELAY_S,
    settings: { backoffStrategy },
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

/** What a job was stopped by, and what may be done about it. */
interface StoppedJob extends Pick<SinkOptions, 'connection' | 'memory' | 'logger'> {
  readonly fault: JobFault;
  readonly error: unknown;
  readonly job: AuditJob;
  readonly worker: Pick<SinkWorker, 'rateLimit'>;
  /** Lets this worker's sink alone rest. */
  readonly rest: () => void;
  readonly restMs: number;
}

/**
 * Ends a job, gives it back, or lets its attempt fail.
 * @throws the library's error for a job that goes back without using up an attempt, or `error`
 */
async function afterFault(stopped: StoppedJob): Promise<JobReport> {
  const { fault, error, job, connection, worker, rest, restMs, memory, logger } = stopped;
  const facts = { err: error, jobId: job.id };
  if (fault === 'no-answer') {
    // The pump adds another one as soon as it sees the outboxes, so that this one keeps no place until they answer.
    logger.warn(facts, 'sink: outboxes could not be read, events wait in them');
    return NOTHING;
  }
  if (fault === 'unavailable') {
    logger.warn({ ...facts, restMs }, 'sink: Postgres is unavailable, events wait in the outbox');
    // The rest of all workers is a key in Redis. Where there is no room for it, this one rests alone.
    await worker.rateLimit(restMs).catch((refusal: Error) => {
      memory.sees(refusal);
      rest();
    });
    throw Worker.RateLimitError();
  }
  if (fault === 'ours' && !(await isAhead(connection))) throw error;
  if (fault === 'ours') logger.error(facts, 'sink: a job failed on a clock that is ahead, it waits for any worker');
  else logger.warn({ ...facts, restMs }, 'sink: Redis refused a command, events wait in the outbox');
  rest();
  throw Worker.RateLimitError();
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
class SinkWorker extends Worker<AuditJobData, JobReport, 'events'> {
  protected override async handleFailed(
    ...[error, ...rest]: Parameters<Worker<AuditJobData, JobReport, 'events'>['handleFailed']>
  ): ReturnType<Worker<AuditJobData, JobReport, 'events'>['handleFailed']> {
    return super.handleFailed(isReplyError(error) ? Worker.RateLimitError() : error, ...rest);
  }
}

function listen(worker: Worker<AuditJobData, JobReport, 'events'>, memory: MemoryWatch, logger: WorkerLogger): void {
  worker.on('error', (error) => {
    if (!memory.sees(error)) logger.warn({ err: error }, 'sink: Redis connection');
  });
  worker.on('completed', (job, report) => {
    const level = report.deadLetters > 0 || report.reusedNumbers > 0 ? 'warn' : 'debug';
    logger[level]({ jobId: job.id, ...report }, 'sink: stored');
  });
  worker.on('failed', (job, error) =>
    logger.error(
      { err: error, jobId: job?.id, attempt: job?.attemptsMade },
      'sink: a job failed, its events stay in the outbox',
    ),
  );
  worker.on('stalled', (jobId) => logger.warn({ jobId }, 'sink: a job of a dead worker starts again'));
}
