import type { Queryable } from '../connection/connection.ts';
import type { RunStatus } from './run-record.ts';

/** Tries of one slot, and the pause before a failed one is tried again, in milliseconds. */
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
 * Whether the run that was due at `slot` is still to be made. False when it or a later one was made or given up, or a failed
 * one rests. A job without any history begins it here: what was due before it was installed is not caught up.
 * @param retryAfterMs rest of a failed run, in milliseconds.
 */
export async function isSlotOpen(
  db: Queryable,
  jobName: string,
  slot: Date,
  retryAfterMs: number = RETRY_AFTER_MS,
): Promise<boolean> {
  await db.query(
    `INSERT INTO spillway.scheduled_runs (job_name, slot, status, finished_at)
     SELECT $1::text, $2::timestamptz, 'baseline', now()
     WHERE NOT EXISTS (SELECT FROM spillway.scheduled_runs WHERE job_name = $1)
     ON CONFLICT DO NOTHING`,
    [jobName, slot],
  );
  const { rows } = await db.query<{ open: boolean }>(
    `SELECT NOT EXISTS (
       SELECT FROM spillway.scheduled_runs
       WHERE job_name = $1 AND slot >= $2 AND NOT (slot = $2 AND (
         status = 'running'
         OR (status = 'failed' AND attempts < $3 AND finished_at < now() - $4::float8 * interval '1 millisecond')))
     ) AS open`,
    [jobName, slot, ATTEMPTS, retryAfterMs],
  );
  return rows[0]?.open === true;
}

/**
 * Takes the slot and writes that its run begins. Call it with the job's lock in hand and after {@link isSlotOpen}: a run that
 * is said to be running then is a dead process's, and is taken over.
 */
export async function openSlot(db: Queryable, jobName: string, slot: Date): Promise<void> {
  await db.query(
    `INSERT INTO spillway.scheduled_runs AS run (job_name, slot, status) VALUES ($1, $2, 'running')
     ON CONFLICT (job_name, slot) DO UPDATE
     SET status = 'running', attempts = run.attempts + 1, started_at = now(), finished_at = NULL, error_message = NULL`,
    [jobName, slot],
  );
}

/** Writes how the slot's run ended. */
export async function closeSlot(
  db: Queryable,
  jobName: string,
  slot: Date,
  end: { readonly runId: string | null; readonly status: RunStatus; readonly errorMessage?: string },
): Promise<void> {
  await db.query(
    `UPDATE spillway.scheduled_runs
     SET status = $3, run_id = $4, error_message = $5, finished_at = clock_timestamp(),
         duration_ms = round(extract(epoch FROM clock_timestamp() - started_at) * 1000)
     WHERE job_name = $1 AND slot = $2`,
    [jobName, slot, end.status, end.runId, end.errorMessage ?? null],
  );
}
