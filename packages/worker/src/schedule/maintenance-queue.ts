import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import type { JobName } from '../maintenance/job.ts';
import { DEFAULT_PREFIX } from '../audit-queue.ts';

/** The queue of maintenance jobs: those that are due, and those that were asked for by HTTP. */
export const MAINTENANCE_QUEUE = 'spillway-maintenance';

/** What one entry of the queue carries: a tick of the schedule, or a requested run. */
export type MaintenanceJobData =
  | { readonly trigger?: undefined }
  | { readonly trigger: 'http'; readonly dryRun: boolean };

/** The queue, with its jobs' shape. */
export type MaintenanceQueue = Queue<MaintenanceJobData>;

/** Opens the producer's side of the queue. */
export function createMaintenanceQueue(options: {
  /** Stays open when the queue closes. */
  readonly connection: Redis | Cluster;
  /** @default '{spillway}' */
  readonly prefix?: string;
  /** Called with connection errors. */
  readonly onError: (error: Error) => void;
}): MaintenanceQueue {
  const { connection, prefix = DEFAULT_PREFIX, onError } = options;
  const queue: MaintenanceQueue = new Queue(MAINTENANCE_QUEUE, { connection, prefix });
  queue.on('error', onError);
  return queue;
}

/**
 * Asks a worker to run a job. While such a request waits or runs, another one is the same.
 * @returns the run's id: a row of `spillway.job_runs` will have it, unless another process runs the job already
 */
export async function requestRun(queue: MaintenanceQueue, job: JobName, dryRun: boolean): Promise<string> {
  const jobId = randomUUID();
  const added = await queue.add(
    job,
    { trigger: 'http', dryRun },
    {
      jobId,
      deduplication: { id: dryRun ? `${job}.dry-run` : job },
      attempts: 1,
      removeOnComplete: { count: 200 },
      removeOnFail: { count: 200 },
    },
  );
  return added.id ?? jobId;
}

/** What the queue knows of a requested run. */
export type RequestedRun =
  | { readonly kind: 'queued' | 'running'; readonly job: string; readonly dryRun: boolean }
  /** Another process ran the job already: that run counts. */
  | { readonly kind: 'joined'; readonly runId: string };

/** What the queue knows of a run that has no row in Postgres; undefined when nothing. */
export async function findRequestedRun(queue: MaintenanceQueue, runId: string): Promise<RequestedRun | undefined> {
  const job = await queue.getJob(runId);
  if (job?.data.trigger !== 'http') return undefined;
  const result: unknown = job.returnvalue;
  if (typeof result === 'object' && result !== null && 'runId' in result && typeof result.runId === 'string') {
    return { kind: 'joined', runId: result.runId };
  }
  if (job.finishedOn !== undefined) return undefined;
  return { kind: (await job.isActive()) ? 'running' : 'queued', job: job.name, dryRun: job.data.dryRun };
}
