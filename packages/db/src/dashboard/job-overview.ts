import { sql } from 'drizzle-orm';
import { alias } from 'drizzle-orm/pg-core';
import type { Queryable } from '../connection/connection.ts';
import { read } from '../query/typed.ts';
import type { JobRun, RunTrigger } from '../runs/job-runs.ts';
import { archivalRuns, jobRuns } from '../schema/job-runs.ts';

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

const last = alias(jobRuns, 'last');
const part = alias(archivalRuns, 'part');
const grouped = sql.join(
  [
    last.id,
    last.job,
    last.status,
    last.trigger,
    last.attempts,
    last.startedAtMs,
    last.durationMs,
    last.dryRun,
    last.errorMessage,
  ],
  sql`, `,
);

const QUERY = sql`
  WITH last AS (
    SELECT DISTINCT ON (${jobRuns.job}) * FROM ${jobRuns} WHERE ${jobRuns.status} <> 'baseline'
    ORDER BY ${jobRuns.job}, ${jobRuns.startedAtMs} DESC
  )
  SELECT ${last.job} AS job, ${last.status} AS status, ${last.trigger} AS trigger, ${last.attempts} AS attempts,
         (extract(epoch FROM ${last.startedAtMs}) * 1000)::float8 AS "startedAtMs", ${last.durationMs}::float8 AS "durationMs",
         ${last.dryRun} AS "dryRun", ${last.errorMessage} AS "errorMessage",
         coalesce(sum(greatest(${part.archivedCount}, ${part.deletedCount})), 0)::float8 AS "rowsMoved"
  FROM last LEFT JOIN ${archivalRuns} AS part ON ${part.runId} = ${last.id}
  GROUP BY ${grouped} ORDER BY ${last.job}`;

/** The last run of each job that ever ran. */
export async function jobOverview(db: Queryable): Promise<readonly JobOverview[]> {
  return read<JobOverview>(db, QUERY);
}
