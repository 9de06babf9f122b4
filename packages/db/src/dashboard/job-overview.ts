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

// A run is as good as its worst table.
const QUERY = `
  WITH last AS (
    SELECT DISTINCT ON (job_name) job_name, run_id, id FROM archive.archival_runs ORDER BY job_name, started_at DESC
  )
  SELECT job_name AS "jobName", (extract(epoch FROM min(run.started_at)) * 1000)::float8 AS "startedAtMs",
         CASE WHEN bool_or(run.status = 'running') THEN 'running' WHEN bool_or(run.status = 'crashed') THEN 'crashed'
              WHEN bool_or(run.status = 'failed') THEN 'failed' WHEN bool_or(run.status = 'partial') THEN 'partial'
              ELSE 'completed' END AS status,
         round(extract(epoch FROM max(run.finished_at) - min(run.started_at)) * 1000)::float8 AS "durationMs",
         bool_or(run.dry_run) AS "dryRun",
         sum(greatest(run.archived_count, run.deleted_count))::float8 AS "rowsMoved",
         count(run.table_name)::int AS tables,
         (array_agg(run.error_message) FILTER (WHERE run.error_message IS NOT NULL))[1] AS "errorMessage"
  FROM last JOIN archive.archival_runs AS run USING (job_name)
  WHERE run.run_id = last.run_id OR run.id = last.id
  GROUP BY job_name ORDER BY job_name`;

/** The last run of each job that ever ran. */
export async function jobOverview(db: Queryable): Promise<readonly JobOverview[]> {
  const { rows } = await db.query<JobOverview>(QUERY);
  return rows;
}
