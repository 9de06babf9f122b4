import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import type { Cluster, Redis } from 'ioredis';
import { isDeepStrictEqual } from 'node:util';
import { type JobName, REPLAY_JOB } from '../maintenance/job.ts';
import type { ReplaySelection } from '../recovery/replay-dead-letters.ts';
import { DEFAULT_PREFIX } from '../audit-queue.ts';

/** The queue of maintenance jobs: those that are due, and those that were asked for by HTTP. */
export const MAINTENANCE_QUEUE = 'spillway-maintenance';

/** What one entry of the queue carries: a tick of the schedule, or a requested run. */
export type MaintenanceJobData =
  | { readonly trigger?: undefined }
  | {
      readonly trigger: 'http';
      readonly dryRun: boolean;
      /** Of a replay: which dead letters it takes. */
      readonly selection?: ReplaySelection;
    };

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

/** A run to ask for. */
export type RunToRequest =
  | { readonly job: JobName; readonly dryRun: boolean }
  | { readonly job: typeof REPLAY_JOB; readonly dryRun: boolean; readonly selection: ReplaySelection };

/** What came of asking. `occupied`: a request for the same job waits or runs that selects something else; nothing was added. */
export interface Requested {
  readonly kind: 'requested' | 'occupied';
  /** A row of `spillway.job_runs` will have it, unless another process runs the job already. */
  readonly runId: string;
}

/**
 * Asks a worker to run a job. While a request for it waits or runs, another one is the same, so that at most one of each job and one
 * dry run are in the queue.
 */
export async function requestRun(queue: MaintenanceQueue, { job, ...what }: RunToRequest): Promise<Requested> {
  const jobId = randomUUID();
  const data: MaintenanceJobData = { trigger: 'http', ...what };
  const added = await queue.add(job, data, {
    jobId,
    deduplication: { id: what.dryRun ? `${job}.dry-run` : job },
    attempts: 1,
    removeOnComplete: { count: 200 },
    removeOnFail: { count: 200 },
  });
  const runId = added.id ?? jobId;
  if (runId === jobId || job !== REPLAY_JOB) return { kind: 'requested', runId };
  const known = await queue.getJob(runId);
  return { kind: isDeepStrictEqual(known?.data, data) ? 'requested' : 'occupied', runId };
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
