import { bigint, boolean, check, index, jsonb, text, uuid } from 'drizzle-orm/pg-core';
import { archivalRunStatuses, oneOf } from './enumerations.ts';
import { archive } from './schemas.ts';
import { epochMs, now } from './timestamps.ts';

/** One row per maintenance run and table; rows of one run share `run_id`. */
export const archivalRuns = archive.table(
  'archival_runs',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    runId: uuid('run_id'),
    jobName: text('job_name').notNull().default('cron-archive-data'),
    startedAtMs: epochMs('started_at').notNull().default(now),
    /** Null while it runs. */
    finishedAtMs: epochMs('finished_at'),
    status: text('status', { enum: archivalRunStatuses }).notNull().default('running'),
    tableName: text('table_name'),
    archivedCount: bigint('archived_count', { mode: 'number' }).notNull().default(0),
    deletedCount: bigint('deleted_count', { mode: 'number' }).notNull().default(0),
    cutoffMs: epochMs('cutoff'),
    durationMs: bigint('duration_ms', { mode: 'number' }),
    errorMessage: text('error_message'),
    dryRun: boolean('dry_run').notNull().default(false),
    /** What the counts don't say: partitions made or detached, warnings of the preflight, the longest batch. */
    details: jsonb('details').notNull().default({}),
  },
  (table) => [
    check('archival_runs_status_check', oneOf(table.status, archivalRunStatuses)),
    // The guide's third monitoring query.
    index('archival_runs_started_at_idx').on(table.startedAtMs),
    // The last run of a job, for catch-up and for the dashboard.
    index('archival_runs_job_idx').on(table.jobName, table.startedAtMs.desc().nullsFirst()),
  ],
);
