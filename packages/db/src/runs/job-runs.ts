import { eq } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { columnsOf, typed } from '../query/typed.ts';
import type { runTriggers } from '../schema/enumerations.ts';
import { jobRuns } from '../schema/job-runs.ts';
import { type ArchivalRun, listArchivalRuns } from './list-archival-runs.ts';
import type { RunStatus } from './table-runs.ts';

/** Who asked for a run. */
export type RunTrigger = (typeof runTriggers)[number];

/** Attempts of one due moment, and the pause before a failed one is tried again, in milliseconds. */
const ATTEMPTS = 3;
const RETRY_AFTER_MS = 600_000;

/** Postgres' clock in epoch milliseconds: the one that decides what is due. */
export async function readClockMs(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ ms: number }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms',
  );
  return rows[0]?.ms ?? Number.NaN;
}

/**
 * Whether a job is still to be run for a moment at which it was due. False when a run for this or a later moment was made or given
 * up, when a failed one waits for its retry, and when a run by hand began at or after the moment and completed. A job without any
 * history begins it here: what was due before it was installed is not caught up.
 * @param retryAfterMs pause before a failed run is tried again, in milliseconds.
 */
export async function isDue(
  db: Queryable,
  job: string,
  dueAt: Date,
  retryAfterMs: number = RETRY_AFTER_MS,
): Promise<boolean> {
  await db.query(
    `INSERT INTO spillway.job_runs (job, due_at, trigger, status, finished_at)
     SELECT $1::text, $2::timestamptz, 'schedule', 'baseline', now()
     WHERE NOT EXISTS (SELECT FROM spillway.job_runs WHERE job = $1 AND due_at IS NOT NULL)
     ON CONFLICT DO NOTHING`,
    [job, dueAt],
  );
  const { rows } = await db.query<{ due: boolean }>(
    `SELECT NOT EXISTS (
       SELECT FROM spillway.job_runs
       WHERE job = $1 AND due_at >= $2 AND NOT (due_at = $2 AND (
         status IN ('running', 'crashed')
         OR (status = 'failed' AND attempts < $3 AND finished_at < now() - $4::float8 * interval '1 millisecond')))
     ) AND NOT EXISTS (
       SELECT FROM spillway.job_runs
       WHERE job = $1 AND due_at IS NULL AND status = 'completed' AND NOT dry_run AND started_at >= $2
     ) AS due`,
    [job, dueAt, ATTEMPTS, retryAfterMs],
  );
  return rows[0]?.due === true;
}

/** A run to begin. */
export interface NewRun {
  /** A UUID; a run for a due moment that has a row already keeps that row's. */
  readonly id: string;
  readonly job: string;
  readonly trigger: RunTrigger;
  readonly dryRun: boolean;
  /** The moment of the schedule; null for a run by hand. */
  readonly dueAt: Date | null;
}

/** What came of beginning it. */
export type RunBegin =
  | {
      readonly kind: 'begun';
      readonly id: string;
      /** 1 the first time. */
      readonly attempt: number;
      /** Tables of earlier runs that died, found and marked now. */
      readonly crashedTables: number;
    }
  /** This very run ended before: its end was not heard of. */
  | { readonly kind: 'ended'; readonly id: string; readonly status: RunStatus };

/**
 * Writes that a run begins, or that its next attempt does; call it with the job's lock in hand: what is said to run then is a dead
 * process's, and is marked as crashed. Counts of its tables are those of the batches that were committed.
 */
export async function beginRun(db: Queryable, run: NewRun): Promise<RunBegin> {
  const { job, trigger, dryRun, dueAt } = run;
  const found = await db.query<{ id: string }>('SELECT id FROM spillway.job_runs WHERE job = $1 AND due_at = $2', [
    job,
    dueAt,
  ]);
  const id = found.rows[0]?.id ?? run.id;
  const { rows } = await db.query<{ attempts: number | null; crashed: number; status: RunStatus | null }>(
    `WITH dead_runs AS (
       UPDATE spillway.job_runs SET status = 'crashed', finished_at = clock_timestamp(), error_message = $6
       WHERE job = $2 AND dry_run = $5 AND status = 'running' AND id <> $1
     ), dead_tables AS (
       UPDATE archive.archival_runs SET status = 'crashed', finished_at = clock_timestamp(), error_message = $6
       WHERE job_name = $2 AND dry_run = $5 AND status = 'running' RETURNING 1
     ), begun AS (
       INSERT INTO spillway.job_runs AS run (id, job, due_at, trigger, dry_run) VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (id) DO UPDATE
       SET status = 'running', attempts = run.attempts + 1, started_at = now(), finished_at = NULL, duration_ms = NULL,
           error_message = NULL
       WHERE run.status NOT IN ('completed', 'partial')
       RETURNING attempts
     )
     SELECT (SELECT attempts FROM begun) AS attempts, (SELECT count(*)::int FROM dead_tables) AS crashed,
            (SELECT status FROM spillway.job_runs WHERE id = $1) AS status`,
    [id, job, dueAt, trigger, dryRun, 'the process died, or lost Postgres'],
  );
  const { attempts = null, crashed = 0, status = null } = rows[0] ?? {};
  if (attempts !== null) return { kind: 'begun', id, attempt: attempts, crashedTables: crashed };
  return { kind: 'ended', id, status: status ?? 'failed' };
}

/** How a run ended. */
export interface RunEnd {
  readonly status: RunStatus;
  readonly errorMessage?: string | undefined;
  /** What a job without tables has to tell, as JSON. */
  readonly details?: Readonly<Record<string, unknown>> | undefined;
}

/** Writes how a run ended. The duration is Postgres' own. */
export async function endRun(db: Queryable, id: string, { status, errorMessage, details }: RunEnd): Promise<void> {
  await db.query(
    `UPDATE spillway.job_runs
     SET status = $2, error_message = $3, details = $4, finished_at = clock_timestamp(),
         duration_ms = round(extract(epoch FROM clock_timestamp() - started_at) * 1000)
     WHERE id = $1`,
    [id, status, errorMessage ?? null, JSON.stringify(details ?? {})],
  );
}

/** The id of the run that is going on, by what its row says; undefined when there is none. */
export async function runningRun(db: Queryable, job: string, dryRun: boolean): Promise<string | undefined> {
  const { rows } = await db.query<{ id: string }>(
    `SELECT id FROM spillway.job_runs WHERE job = $1 AND dry_run = $2 AND status = 'running' ORDER BY started_at DESC LIMIT 1`,
    [job, dryRun],
  );
  return rows[0]?.id;
}

/** A run, as it is read. Times are epoch ms. */
export type JobRun = Readonly<typeof jobRuns.$inferSelect> & {
  /** What was done table by table, in all attempts. */
  readonly tables: readonly ArchivalRun[];
};

/** More tables than this has no run. */
const MOST_TABLES = 1_000;

/** One run with its tables; undefined when there is none of this id. */
export async function readRun(db: Queryable, id: string): Promise<JobRun | undefined> {
  const [run] = await typed(db).select(columnsOf(jobRuns)).from(jobRuns).where(eq(jobRuns.id, id));
  if (run === undefined) return undefined;
  const { rows: tables } = await listArchivalRuns(db, { runId: id, limit: MOST_TABLES });
  return { ...run, tables: tables.toReversed() };
}
