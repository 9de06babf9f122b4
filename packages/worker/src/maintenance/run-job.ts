import { randomUUID } from 'node:crypto';
import { beginRun, classifyDbError, endRun, type RunBegin, runningRun, withJobLock } from '@spillway/db';
import type { Job, JobOptions, JobReport, MaintenanceDeps, RunContext, RunOutcome } from './job.ts';

/** Options of a run that only schedule and queue set. */
export interface RunRequest extends JobOptions {
  /** The run's id, so that a request which is delivered twice is one run. @default a new one */
  readonly runId?: string;
  /** Asked with the lock in hand: the moment of the schedule that the run is for; null when it is not due any more. */
  readonly due?: () => Promise<Date | null>;
}

/** A run that lost the race for the lock looks so often, so many ms apart, whose run it was. */
const LOOKS = 20;
const LOOK_MS = 50;

/** Dry runs change nothing and don't block other runs. */
export const lockName = (job: string, dryRun: boolean): string => (dryRun ? `${job} (dry run)` : job);

/**
 * Runs a job: the one place that takes its lock and writes its row of `spillway.job_runs`, for every caller. Only one process at a time
 * runs a job. What earlier runs left unfinished when they died is marked; a run of the same id, or for the same moment of
 * the schedule, is taken over as its next attempt.
 *
 * Rejects only when Postgres can't be reached, and the run's row says `running` until the next one; anything else is in the report.
 * @throws pg's error when there is no connection.
 */
export async function runJob(
  deps: Pick<MaintenanceDeps, 'pool' | 'logger'>,
  job: Job,
  request: RunRequest = {},
): Promise<JobReport> {
  const { pool } = deps;
  const { dryRun = false } = request;
  const started = performance.now();
  const told = { job: job.name, dryRun, crashedBefore: 0, tables: [] };
  const took = (): number => Math.round(performance.now() - started);
  for (let look = 1; ; look += 1) {
    const locked = await withJobLock(pool, lockName(job.name, dryRun), async (lost) => {
      const dueAt = request.due === undefined ? null : await request.due();
      if (request.due !== undefined && dueAt === null) return { ...told, runId: null, status: 'not_due' as const };
      const { trigger = 'cli', runId: id = randomUUID() } = request;
      const begun = await beginRun(pool, { id, job: job.name, trigger, dryRun, dueAt });
      if (begun.kind === 'ended') return { ...told, runId: begun.id, status: begun.status };
      return { ...told, ...(await settle(deps, job, begun, request, lost)) };
    });
    if (locked.acquired) return { ...locked.result, durationMs: took() };
    const runId = await runningRun(pool, job.name, dryRun);
    // The one that holds the lock writes its row next, or gives the lock back.
    if (runId !== undefined || request.due !== undefined || look === LOOKS) {
      return { ...told, runId: runId ?? null, status: 'busy', durationMs: took() };
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

type Settled = Pick<JobReport, 'crashedBefore' | 'status'> & RunOutcome & { readonly runId: string };

async function settle(
  { pool, logger }: Pick<MaintenanceDeps, 'pool' | 'logger'>,
  job: Job,
  { id: runId, attempt, crashedTables }: Extract<RunBegin, { kind: 'begun' }>,
  { dryRun = false, selection, timeBudgetMs = Infinity, signal, onProgress = () => {} }: RunRequest,
  lost: AbortSignal,
): Promise<Settled> {
  const about = { job: job.name, runId, attempt };
  if (crashedTables > 0) logger.warn({ ...about, tables: crashedTables }, 'maintenance: an earlier run died');
  logger.info(about, 'maintenance: a run begins');
  const outcome = await outcomeOf(job, {
    runId,
    dryRun,
    selection,
    timeBudgetMs,
    onProgress,
    signal: signal === undefined ? lost : AbortSignal.any([lost, signal]),
  });
  await endRun(pool, runId, outcome);
  const { status, errorMessage } = outcome;
  logger[status === 'failed' ? 'error' : 'info']({ ...about, status, errorMessage }, 'maintenance: a run ended');
  return { ...outcome, runId, crashedBefore: crashedTables };
}

async function outcomeOf(job: Job, context: RunContext): Promise<RunOutcome> {
  try {
    return await job.run(context);
  } catch (error) {
    if (classifyDbError(error) === 'unavailable') throw error;
    return { status: 'failed', errorMessage: error instanceof Error ? error.message : String(error) };
  }
}
