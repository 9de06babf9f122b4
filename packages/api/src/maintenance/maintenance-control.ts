import { type JobRun, type Queryable, readRun } from '@spillway/db';
import { findRequestedRun, type JobName, requestRun } from '@spillway/worker';
import type { WorkerQueues } from '../queues/worker-queues.ts';

/** A run that waits in the queue: no worker has begun it. */
export type QueuedRun = Omit<JobRun, 'status' | 'startedAtMs'> & {
  readonly status: 'queued';
  readonly startedAtMs: null;
};

/** What the API asks of the workers, which do maintenance. */
export interface MaintenanceControl {
  /** How long a request waits for a run's end before it is answered that the run goes on, in ms. */
  readonly answerWithinMs: number;
  /**
   * Asks the workers to run a job; while such a request waits or runs, another one is the same.
   * @returns the run's id for {@link find}
   * @throws {QueueUnavailableError} when the queue's Redis can't be reached
   */
  start(job: JobName, options: { readonly dryRun: boolean }): Promise<string>;
  /** The run, or the one that went on already when it was asked for; undefined when there is none. */
  find(runId: string): Promise<JobRun | QueuedRun | undefined>;
}

/** Puts runs into the workers' queue and reads what became of them; nothing is run in this process. */
export function maintenanceControl(options: {
  readonly queues: Pick<WorkerQueues, 'maintenance' | 'ask'>;
  readonly db: Queryable;
  /** pg_net gives up after 5 s, and after 1 s in its first versions. @default 500 */
  readonly answerWithinMs?: number;
}): MaintenanceControl {
  const { queues, db, answerWithinMs = 500 } = options;
  return {
    answerWithinMs,
    start: async (job, { dryRun }) => queues.ask(async () => requestRun(queues.maintenance, job, dryRun)),
    find: async (runId) => {
      const run = await readRun(db, runId);
      if (run !== undefined) return run;
      const requested = await queues.ask(async () => findRequestedRun(queues.maintenance, runId));
      if (requested === undefined) return undefined;
      if (requested.kind === 'joined') return readRun(db, requested.runId);
      return queued(runId, requested.job, requested.dryRun);
    },
  };
}

function queued(id: string, job: string, dryRun: boolean): QueuedRun {
  const times = { dueAtMs: null, startedAtMs: null, finishedAtMs: null, durationMs: null };
  const none = { attempts: 0, errorMessage: null, details: {}, tables: [] };
  return { id, job, trigger: 'http', dryRun, status: 'queued', ...times, ...none };
}
