import type { Queryable } from '../connection/connection.ts';
import type { JobRun, RunTrigger } from '../runs/job-runs.ts';

/** The last run of a maintenance job. */
export interface JobOverview {
  readonly job: string;
  readonly status: Exclude<JobRun['status'], 'baseline'>;
  readonly trigger: RunTrigger;
  readonly attempts: number;
  /** Epoch ms. */
  readonly startedAtMs: number;
  /** Null while it runs. */
  readonly durationMs: number | null;
  readonly dryRun: boolean;
  /** Rows that it archived or deleted, of all its tables. */
  readonly rowsMoved: number;
  readonly errorMessage: string | null;
}

const QUERY = `
  WITH last AS (
    SELECT DISTINCT ON (job) * FROM spillway.job_runs WHERE status <> 'baseline' ORDER BY job, started_at DESC
  )
  SELECT job, last.status, trigger, attempts, (extract(epoch FROM last.started_at) * 1000)::float8 AS "startedAtMs",
         last.duration_ms::float8 AS "durationMs", last.dry_run AS "dryRun",
         coalesce(sum(greatest(run.archived_count, run.deleted_count)), 0)::float8 AS "rowsMoved",
         last.error_message AS "errorMessage"
  FROM last LEFT JOIN archive.archival_runs AS run ON run.run_id = last.id
  GROUP BY last.id, job, last.status, trigger, attempts, last.started_at, last.duration_ms, last.dry_run, last.error_message
  ORDER BY job`;

/** The last run of each job that ever ran. */
export async function jobOverview(db: Queryable): Promise<readonly JobOverview[]> {
  const { rows } = await db.query<JobOverview>(QUERY);
  return rows;
}
