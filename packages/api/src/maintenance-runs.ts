import { setTimeout as delay } from 'node:timers/promises';
import { z } from '@hono/zod-openapi';
import {
  type ArchivalRun,
  type JobRun,
  type ListJobRunsOptions,
  listJobRuns,
  type Page,
  type Queryable,
  readRun,
} from '@spillway/db';
import { jobRunStatuses, runTriggers } from '@spillway/db/schema';
import { findRequestedRun, type Requested, requestRun, type RunToRequest } from '@spillway/worker';
import type { Context } from 'hono';
import type { Recorder } from './audit/recorder.ts';
import { archivalRun } from './audit/trail-routes.ts';
import type { ApiEnv } from './openapi/api-app.ts';
import { omitUndefined } from './openapi/fields.ts';
import { problem, problemException } from './problems.ts';
import type { WorkerQueues } from './queues.ts';

/*
 * Maintenance is done by workers. A request adds a run to their queue and waits a moment for its end; if it goes on, the answer says
 * where to look. The run is a row of `spillway.job_runs` from the moment a worker begins it, and a job of the queue before that.
 */

/** A run that waits in the queue: no worker has begun it. */
type QueuedRun = Omit<JobRun, 'status' | 'startedAtMs'> & {
  readonly status: 'queued';
  readonly startedAtMs: null;
};

/** What the API asks of the workers, which do maintenance. */
export interface MaintenanceControl {
  /** How long a request waits for a run's end before it is answered that the run goes on, in ms. */
  readonly answerWithinMs: number;
  /**
   * Asks the workers for a run; while such a request waits or runs, another one is the same.
   * @throws {QueueUnavailableError} when the queue's Redis can't be reached
   */
  start(run: RunToRequest): Promise<Requested>;
  /** The run, or the one that went on already when it was asked for; undefined when there is none. */
  find(runId: string): Promise<JobRun | QueuedRun | undefined>;
  /** Runs that a worker has begun, the last begun first. */
  list(options: ListJobRunsOptions): Promise<Page<Omit<JobRun, 'tables'>>>;
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
    list: async (page) => listJobRuns(db, page),
    start: async (run) => queues.ask(async () => requestRun(queues.maintenance, run)),
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

/** A run, as it is answered. */
export interface RunView<Details = unknown> extends Omit<JobRun, 'status' | 'startedAtMs' | 'details' | 'tables'> {
  readonly status: JobRun['status'] | 'queued';
  readonly startedAtMs: number | null;
  readonly details: Details;
  readonly tables: ArchivalRun[];
}

const time = z.number().nullable();

/** The schema of a run. @param details what its job comes to, besides what is done table by table */
export function runView<Details>(details: z.ZodType<Details>): z.ZodType<RunView<Details>> {
  return z.object({
    id: z.string(),
    job: z.string(),
    trigger: z.enum(runTriggers),
    dueAtMs: time.openapi({ description: 'The moment of the schedule that it is for; null for a run by hand.' }),
    dryRun: z.boolean(),
    status: z
      .enum(['queued', ...jobRunStatuses])
      .openapi({ description: 'partial: something is left for the next run. crashed: its process died.' }),
    attempts: z.number(),
    startedAtMs: time.openapi({ description: 'Of the last attempt.' }),
    finishedAtMs: time,
    durationMs: time,
    errorMessage: z.string().nullable(),
    details,
    tables: z.array(archivalRun),
  });
}

/** What the routes work with. */
export interface MaintenanceRouteDeps {
  readonly control: MaintenanceControl;
  readonly record: Pick<Recorder, 'change'>;
}

/** How often it is looked whether a run has ended, in ms. */
const LOOK_MS = 25;

/**
 * Asks for a run, records who did, and waits a moment for its end. Sets `Location` where it goes on.
 * @throws {HTTPException} that becomes a 409 when the job is asked for with another selection, and a 500 when the run failed
 */
export async function askForRun(
  context: Context<ApiEnv>,
  { control, record }: MaintenanceRouteDeps,
  asked: RunToRequest,
  note?: string | null,
): Promise<{ readonly status: 200 | 202; readonly run: RunView }> {
  const { job, ...after } = asked;
  const change = {
    action: 'run_job',
    objectKind: 'job',
    object: job,
    after,
    ...omitUndefined({ note: note ?? undefined }),
  };
  const id = await record.change(context, change, async () => idOf(await control.start(asked)));
  const run = await look(control, id);
  const place = placeOf(run.id);
  if (run.status === 'failed') {
    const detail = `${job} failed: see ${place}.`;
    throw problemException(problem('run-failed', { detail, job, runId: run.id }));
  }
  if (run.finishedAtMs !== null) return { status: 200, run };
  context.header('Location', place);
  return { status: 202, run };
}

const placeOf = (runId: string): string => `/v1/maintenance/runs/${runId}`;

/** What is thrown leaves no row of a change that was not made. */
function idOf({ kind, runId }: Requested): string {
  if (kind === 'requested') return runId;
  const detail = `A replay of other dead letters waits or runs: see ${placeOf(runId)}, and ask again when it has ended.`;
  throw problemException(problem('replay-in-progress', { detail, runId }, { 'Retry-After': '1' }));
}

/** How it stands at its end, or when it is time to answer. */
async function look(control: MaintenanceControl, id: string): Promise<RunView> {
  const until = performance.now() + control.answerWithinMs;
  for (;;) {
    const run = await control.find(id);
    if (run === undefined) throw new Error(`the run ${id} vanished`);
    if (run.finishedAtMs !== null || performance.now() >= until) return viewOf(run);
    await delay(LOOK_MS);
  }
}

/** What is answered of a run. */
export function viewOf(run: NonNullable<Awaited<ReturnType<MaintenanceControl['find']>>>): RunView {
  return { ...run, tables: [...run.tables] };
}
