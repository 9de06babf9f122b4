import type { Queryable } from '../connection/connection.ts';

/** How a run, or its part on one table, ended. `partial`: in order, but there is more to do. */
export type RunStatus = 'completed' | 'partial' | 'failed';

/** The part of a run on one table, as it begins. */
export interface TableRunStart {
  /** The run's id in `spillway.job_runs`. */
  readonly runId: string;
  readonly jobName: string;
  /** `schema.name`. */
  readonly tableName: string;
  readonly dryRun: boolean;
}

/** The same as it ended. */
export interface TableRunEnd {
  readonly status: RunStatus;
  /** Rows; set only when the counts were not kept batch by batch. */
  readonly archived?: number | null;
  readonly deleted?: number | null;
  readonly cutoff?: Date;
  readonly errorMessage?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Writes a row of `archive.archival_runs`, and returns its id. */
export async function openTableRun(
  db: Queryable,
  { runId, jobName, tableName, dryRun }: TableRunStart,
): Promise<string> {
  const { rows } = await db.query<{ id: string }>(
    `INSERT INTO archive.archival_runs (run_id, job_name, table_name, dry_run) VALUES ($1, $2, $3, $4) RETURNING id`,
    [runId, jobName, tableName, dryRun],
  );
  return rows[0]?.id ?? '';
}

/** Adds a batch's rows; inside the batch's transaction, so that the counts are right whatever dies when. */
export async function addToTableRun(
  db: Queryable,
  id: string,
  counts: { archived: number; deleted: number },
): Promise<void> {
  await db.query(
    `UPDATE archive.archival_runs SET archived_count = archived_count + $2, deleted_count = deleted_count + $3
     WHERE id = $1`,
    [id, counts.archived, counts.deleted],
  );
}

/** Completes the row. The duration is Postgres' own. */
export async function closeTableRun(db: Queryable, id: string, end: TableRunEnd): Promise<void> {
  const { status, archived = null, deleted = null, cutoff = null, errorMessage = null, details = {} } = end;
  await db.query(
    `UPDATE archive.archival_runs
     SET status = $2, finished_at = clock_timestamp(), cutoff = $3, error_message = $4, details = $5,
         archived_count = coalesce($6, archived_count), deleted_count = coalesce($7, deleted_count),
         duration_ms = round(extract(epoch FROM clock_timestamp() - started_at) * 1000)
     WHERE id = $1`,
    [id, status, cutoff, errorMessage, JSON.stringify(details), archived, deleted],
  );
}
