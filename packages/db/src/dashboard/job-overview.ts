import type { Queryable } from '../connection/connection.ts';

/** The last run of a maintenance job. */
export interface JobOverview {
  readonly jobName: string;
  readonly status: 'running' | 'completed' | 'partial' | 'failed' | 'crashed';
  /** Epoch ms. */
  readonly startedAtMs: number;
  /** Null while it runs. */
  readonly durationMs: number | null;
  readonly dryRun: boolean;
  /** Rows that it archived or deleted, of all its tables. */
  readonly rowsMoved: number;
  readonly tables: number;
  readonly errorMessage: string | null;
}

// A run is as good as its worst table. Jobs without tables of their own have a row for each scheduled run alone.
const QUERY = `
  WITH last AS (
    SELECT DISTINCT ON (job_name) job_name, run_id, id FROM archive.archival_runs ORDER BY job_name, started_at DESC
  ), by_table AS (
    SELECT job_name, min(run.started_at) AS started_at, max(run.finished_at) AS finished_at,
           CASE WHEN bool_or(run.status = 'running') THEN 'running' WHEN bool_or(run.status = 'crashed') THEN 'crashed'
                WHEN bool_or(run.status = 'failed') THEN 'failed' WHEN bool_or(run.status = 'partial') THEN 'partial'
                ELSE 'completed' END AS status,
           bool_or(run.dry_run) AS dry_run,
           sum(greatest(run.archived_count, run.deleted_count))::float8 AS rows_moved,
           count(run.table_name)::int AS tables,
           (array_agg(run.error_message) FILTER (WHERE run.error_message IS NOT NULL))[1] AS error_message
    FROM last JOIN archive.archival_runs AS run USING (job_name)
    WHERE run.run_id = last.run_id OR run.id = last.id
    GROUP BY job_name
  ), scheduled AS (
    SELECT DISTINCT ON (job_name) job_name, started_at, finished_at, status, false AS dry_run, 0::float8 AS rows_moved,
           0 AS tables, error_message
    FROM spillway.scheduled_runs WHERE status <> 'baseline' ORDER BY job_name, started_at DESC
  )
  SELECT DISTINCT ON (job_name) job_name AS "jobName", status, (extract(epoch FROM started_at) * 1000)::float8 AS "startedAtMs",
         round(extract(epoch FROM finished_at - started_at) * 1000)::float8 AS "durationMs", dry_run AS "dryRun",
         rows_moved AS "rowsMoved", tables, error_message AS "errorMessage"
  FROM (
    SELECT * FROM by_table
    UNION ALL
    -- A scheduled run that has rows by table is told by these.
    SELECT scheduled.* FROM scheduled LEFT JOIN by_table USING (job_name)
    WHERE by_table.started_at IS NULL OR by_table.started_at < scheduled.started_at
  ) AS run
  ORDER BY job_name, started_at DESC`;

/** The last run of each job that ever ran. */
export async function jobOverview(db: Queryable): Promise<readonly JobOverview[]> {
  const { rows } = await db.query<JobOverview>(QUERY);
  return rows;
}
