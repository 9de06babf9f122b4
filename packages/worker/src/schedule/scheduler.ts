import { classifyDbError } from '@spillway/db';
import { type Job, Queue, Worker } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import { wholeNumber, WorkerOptionError } from '../errors.ts';
import { DEFAULT_PREFIX } from '../queue/audit-queue.ts';
import { restAfterErrors } from '../queue/rest-after-errors.ts';
import { repeat } from '../repeat.ts';
import { latestSlot } from './latest-slot.ts';
import { dueSlot, runDue, type RunDueDeps } from './run-due.ts';
import type { Schedule } from './schedule.ts';

/** The queue of scheduled jobs. */
export const MAINTENANCE_QUEUE = 'spillway-maintenance';

/** What is scheduled where. */
export interface SchedulerOptions extends RunDueDeps {
  /** The queue's Redis. One more connection like this one is opened. */
  readonly connection: Redis | Cluster;
  /** @default '{spillway}' */
  readonly prefix?: string;
  readonly schedules: readonly Schedule[];
  /** How often the schedules in Redis and the history in Postgres are looked at, in ms. @default 30_000 */
  readonly checkIntervalMs?: number;
}

/** A running scheduler. */
export interface Scheduler {
  /** Aborts running jobs after the batch at hand and resolves when they ended. Waits for Redis if Redis is away. */
  close(): Promise<void>;
  /** Lets go of its connections at once. */
  abandon(): void;
}

/** Jobs at once in one process: a long archival must not keep the partitions waiting. */
const CONCURRENCY = 2;

/** Least time between two reports of progress to Redis, in ms. */
const PROGRESS_MS = 1_000;

/** Ticks are repeated by the next check, so none has to be kept or tried again. */
const tickOptions = { attempts: 1, removeOnComplete: { count: 100 }, removeOnFail: { count: 100 } } as const;

/**
 * Runs jobs when they are due. Any number of processes may; each slot is run once.
 *
 * A tick of a BullMQ job scheduler is only a reason to look: whether a job is due is decided by Postgres, its clock and its
 * history. Besides, every process looks by itself from time to time, puts back schedules that Redis lost and adds a tick
 * for what is overdue. So a schedule survives an emptied Redis, a worker that was down over its tick (one run catches up) and
 * clocks that are days off.
 * @throws {WorkerOptionError} for an option that can't work.
 */
export function startScheduler(options: SchedulerOptions): Scheduler {
  const { connection, prefix = DEFAULT_PREFIX, schedules, logger } = options;
  const checkIntervalMs = wholeNumber('checkIntervalMs', options.checkIntervalMs ?? 30_000, 10, 3_600_000);
  for (const { name, pattern } of schedules) {
    if (name === '' || name.includes(':')) throw new WorkerOptionError('name', name, 'not empty and without colons');
    latestSlot(pattern, 0);
  }
  const byName = new Map(schedules.map((schedule) => [schedule.name, schedule]));
  const stop = new AbortController();
  const queue = new Queue(MAINTENANCE_QUEUE, { connection, prefix });
  const onError = (error: Error): void => logger.warn({ err: error }, 'schedule: Redis connection');
  queue.on('error', onError);

  const work = async (job: Job): Promise<unknown> => {
    const schedule = byName.get(job.name);
    // Of a newer or older version of the worker; its own process will see to it.
    if (schedule === undefined) return null;
    const progress = throttledProgress(job);
    try {
      const outcome = await runDue(options, schedule, { signal: stop.signal, onProgress: progress.report });
      await progress.flush();
      return outcome;
    } catch (error) {
      if (classifyDbError(error) !== 'unavailable') throw error;
      // Not a delayed job: its time would be this process' clock, and a clock that is ahead would hide it from all others.
      logger.warn({ err: error, job: job.name }, 'schedule: Postgres is unavailable, the next check looks again');
      return null;
    }
  };
  const worker = new Worker(MAINTENANCE_QUEUE, work, {
    connection,
    prefix,
    concurrency: CONCURRENCY,
    lockDuration: 30_000,
    stalledInterval: 10_000,
    maxStalledCount: 1_000,
    runRetryDelay: 1_000,
  });
  worker.on('error', onError);
  restAfterErrors(worker, 1_000);
  worker.on('failed', (job, error) => logger.error({ err: error, job: job?.name }, 'schedule: a tick failed'));

  const checks = repeat(checkIntervalMs, stop.signal, async () => {
    for (const schedule of schedules) {
      await restore(queue, schedule).catch(onError);
      await addOverdue(options, queue, schedule).catch((error: unknown) =>
        logger.warn({ err: error, job: schedule.name }, 'schedule: could not look whether a job is overdue'),
      );
    }
  });
  return {
    async close() {
      stop.abort();
      await worker.close();
      await checks;
      await queue.close();
    },
    abandon() {
      stop.abort();
      void worker.disconnect().catch(() => {});
    },
  };
}

/**
 * Puts a schedule into Redis where it is missing or another one. Only then: an upsert moves the next run into the future,
 * and one that is overdue would be lost.
 */
async function restore(queue: Queue, { name, pattern }: Schedule): Promise<void> {
  const present = await queue.getJobScheduler(name);
  if (present?.pattern === pattern && present.tz === 'UTC') return;
  await queue.upsertJobScheduler(name, { pattern, tz: 'UTC' }, { name, opts: tickOptions });
}

/** Many may add it: while the tick of a slot exists, another of the same name is none. */
async function addOverdue(deps: RunDueDeps, queue: Queue, schedule: Schedule): Promise<void> {
  const slot = await dueSlot(deps, schedule);
  if (slot === null) return;
  const options = { ...tickOptions, removeOnComplete: true, removeOnFail: true };
  await queue.add(schedule.name, {}, { ...options, jobId: `${schedule.name}.${slot.getTime()}` });
}

/** Progress on its way to Redis: not each step, but always the last. */
interface ThrottledProgress {
  readonly report: (progress: object) => void;
  readonly flush: () => Promise<void>;
}

function throttledProgress(job: Job): ThrottledProgress {
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
