import { classifyDbError, type ConnectionSource, type Queryable, readClockMs } from '@spillway/db';
import { type Job as QueuedJob, type Queue, WaitingError, Worker } from 'bullmq';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { WorkerLogger } from '../logger.ts';
import type { Job, JobReport } from '../maintenance/job.ts';
import { runJob, type RunRequest } from '../maintenance/run-job.ts';
import { latestDue, overdueSince } from './due.ts';
import { repeat } from '../timing.ts';
import { DEFAULT_PREFIX, restAfterErrors } from '../audit-queue.ts';
import {
  createMaintenanceQueue,
  MAINTENANCE_QUEUE,
  type MaintenanceJobData,
  type MaintenanceQueue,
} from './maintenance-queue.ts';
import { wholeNumber, WorkerOptionError } from '../options.ts';

/** What is scheduled where. */
export interface SchedulerOptions {
  readonly pool: ConnectionSource & Queryable;
  readonly logger: WorkerLogger;
  /** The queue's Redis. One more connection like this one is opened. */
  readonly connection: Redis | Cluster;
  /** @default '{spillway}' */
  readonly prefix?: string;
  readonly jobs: readonly Job[];
  /** How often the schedules in Redis and the history in Postgres are looked at, in ms. @default 30_000 */
  readonly checkIntervalMs?: number;
  /** Pause before a failed run is tried again, in ms. @default 600_000 */
  readonly retryAfterMs?: number;
}

/** A running scheduler. */
export interface Scheduler {
  /** Aborts running jobs after the batch at hand and resolves when they ended. Waits for Redis if Redis is away. */
  close(): Promise<void>;
  /** Lets go of its connections at once. */
  disconnect(): void;
}

/** Jobs at once in one process: a long archival must not keep the partitions waiting. */
const CONCURRENCY = 2;

/** A run goes on the next time when it takes longer: four hours. */
const TIME_BUDGET_MS = 4 * 3_600_000;

/** Least time between two reports of progress to Redis, in ms. */
const PROGRESS_MS = 1_000;

/** Pause of the queue when Postgres is away, in ms. */
const REST_MS = 2_000;

/** Ticks are repeated by the next check, so none has to be kept or tried again. */
const tickOptions = { attempts: 1, removeOnComplete: { count: 100 }, removeOnFail: { count: 100 } } as const;

/** Pause before a run looks again whether another process still runs its job, in ms. */
const BUSY_MS = 1_000;

type MaintenanceJob = QueuedJob<MaintenanceJobData>;
type RequestedData = Extract<MaintenanceJobData, { trigger: 'http' }>;

/**
 * Runs jobs when they are due and when they were asked for by HTTP. Any number of processes may; each moment of a schedule is run
 * once.
 *
 * A tick of a BullMQ job scheduler is only a reason to look: whether a job is due is decided by Postgres, its clock and its
 * history. Besides, every process looks by itself from time to time, puts back schedules that Redis lost and adds a tick
 * for what is overdue. So a schedule survives an emptied Redis, a worker that was down over its tick (one run catches up) and
 * clocks that are days off. A job whose worker died is given to another one within fifteen seconds.
 * @throws {WorkerOptionError} for an option that can't work.
 */
export function startScheduler(options: SchedulerOptions): Scheduler {
  const { connection, prefix = DEFAULT_PREFIX, jobs, logger } = options;
  const checkIntervalMs = wholeNumber('checkIntervalMs', options.checkIntervalMs ?? 30_000, 10, 3_600_000);
  const scheduled = jobs.filter(({ patterns }) => patterns.length > 0);
  for (const { name } of jobs) {
    if (name === '' || name.includes(':')) throw new WorkerOptionError('name', name, 'not empty and without colons');
  }
  for (const { patterns } of scheduled) latestDue(patterns, 0);
  const stop = new AbortController();
  const onError = (error: Error): void => logger.warn({ err: error }, 'schedule: Redis connection');
  const queue = createMaintenanceQueue({ connection, prefix, onError });

  const work = async (queued: MaintenanceJob, token?: string): Promise<unknown> => {
    const job = jobs.find(({ name }) => name === queued.name);
    // Of a newer or older version of the worker; its own process will see to it.
    if (job === undefined) return null;
    const { data } = queued;
    const asked = data.trigger === 'http';
    const progress = throttledProgress(queued);
    try {
      const report = await runJob(options, job, {
        ...(asked ? askedRun(queued, data) : dueRun(options, job)),
        signal: stop.signal,
        onProgress: progress.report,
        timeBudgetMs: TIME_BUDGET_MS,
      });
      await progress.flush();
      // The run that goes on was asked for other letters.
      if (asked && data.selection !== undefined && report.status === 'busy')
        await waitAgain(queued, token, stop.signal);
      return resultOf(report, asked);
    } catch (error) {
      if (classifyDbError(error) !== 'unavailable') throw error;
      // Not a delayed job: its time would be this process' clock, and a clock that is ahead would hide it from all others.
      logger.warn({ err: error, job: job.name }, 'schedule: Postgres is unavailable');
      // The next check looks again whether it is due. A run that was asked for waits in the queue.
      if (!asked) return null;
      await worker.rateLimit(REST_MS);
      throw Worker.RateLimitError();
    }
  };
  const worker = openWorker(options, work);
  worker.on('error', onError);
  restAfterErrors(worker, 1_000);

  const checks = repeat(checkIntervalMs, stop.signal, async () => checkSchedules(options, queue, scheduled, onError));
  return {
    async close() {
      stop.abort();
      await worker.close();
      await checks;
      await queue.close();
    },
    disconnect() {
      stop.abort();
      void worker.disconnect().catch(() => {});
    },
  };
}

/** Puts back schedules that Redis lost, and adds a tick for what is overdue. */
async function checkSchedules(
  options: SchedulerOptions,
  queue: MaintenanceQueue,
  scheduled: readonly Job[],
  onError: (error: Error) => void,
): Promise<void> {
  for (const job of scheduled) await restore(queue, job).catch(onError);
  try {
    const nowMs = await readClockMs(options.pool);
    for (const job of scheduled) await addOverdue(options, queue, job, nowMs);
  } catch (error) {
    options.logger.warn({ err: error }, 'schedule: could not check whether a job is overdue');
  }
}

function openWorker(
  { connection, prefix = DEFAULT_PREFIX, logger }: SchedulerOptions,
  work: (queued: MaintenanceJob) => Promise<unknown>,
): Worker<MaintenanceJobData> {
  const worker = new Worker<MaintenanceJobData>(MAINTENANCE_QUEUE, work, {
    connection,
    prefix,
    concurrency: CONCURRENCY,
    lockDuration: 10_000,
    stalledInterval: 5_000,
    maxStalledCount: 1_000,
    runRetryDelay: 1_000,
  });
  worker.on('failed', (job, error) => logger.error({ err: error, job: job?.name }, 'schedule: a job failed'));
  return worker;
}

function askedRun({ id }: MaintenanceJob, { trigger, ...what }: RequestedData): RunRequest {
  return { trigger, ...what, ...(id === undefined ? {} : { runId: id }) };
}

/** Puts a run back into the queue, to be tried again once the lock may be free. */
async function waitAgain(queued: MaintenanceJob, token: string | undefined, signal: AbortSignal): Promise<never> {
  await delay(BUSY_MS, null, { signal }).catch(() => null);
  await queued.moveToWait(token);
  throw new WaitingError();
}

function dueRun({ pool, retryAfterMs }: SchedulerOptions, job: Job): RunRequest {
  return { trigger: 'schedule', due: async () => overdueSince(pool, job, retryAfterMs) };
}

/** What the queue keeps of a run. One that was asked for and failed is a failed job there, which can be tried again. */
function resultOf({ runId, status, errorMessage }: JobReport, asked: boolean): object {
  if (asked && status === 'failed') throw new Error(errorMessage ?? 'the run failed');
  return { runId, status };
}

/**
 * Puts a schedule into Redis where it is missing or another one. Only then: an upsert moves the next run into the future,
 * and one that is overdue would be lost.
 */
async function restore(queue: Queue, { name, patterns }: Job): Promise<void> {
  for (const [index, pattern] of patterns.entries()) {
    const id = index === 0 ? name : `${name}.${index + 1}`;
    const present = await queue.getJobScheduler(id);
    if (present?.pattern === pattern && present.tz === 'UTC') continue;
    await queue.upsertJobScheduler(id, { pattern, tz: 'UTC' }, { name, opts: tickOptions });
  }
}

/** Many may add it: while the tick of a moment exists, another of the same name is none. */
async function addOverdue(
  { pool, retryAfterMs }: SchedulerOptions,
  queue: Queue,
  job: Job,
  nowMs: number,
): Promise<void> {
  const dueAt = await overdueSince(pool, job, retryAfterMs, nowMs);
  if (dueAt === null) return;
  const options = { ...tickOptions, removeOnComplete: true, removeOnFail: true };
  await queue.add(job.name, {}, { ...options, jobId: `${job.name}.${dueAt.getTime()}` });
}

/** Progress on its way to Redis: not each step, but always the last. */
interface ThrottledProgress {
  readonly report: (progress: object) => void;
  readonly flush: () => Promise<void>;
}

function throttledProgress(job: MaintenanceJob): ThrottledProgress {
  let last = Number.NEGATIVE_INFINITY;
  let held: object | undefined;
  const tell = async (progress: object): Promise<void> => {
    last = performance.now();
    held = undefined;
    // The job goes on without.
    await job.updateProgress(progress).catch(() => {});
  };
  return {
    report(progress) {
      if (performance.now() - last >= PROGRESS_MS) void tell(progress);
      else held = progress;
    },
    async flush() {
      if (held !== undefined) await tell(held);
    },
  };
}
