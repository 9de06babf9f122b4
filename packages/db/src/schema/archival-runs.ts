import { bigint, boolean, check, index, jsonb, text, uuid } from 'drizzle-orm/pg-core';
import { archivalRunStatuses, oneOf } from './enumerations.ts';
import { jobRuns } from './job-runs.ts';
import { archive } from './schemas.ts';
import { epochMs, now } from './timestamps.ts';

/** One row per maintenance run and table; the children of a row of `spillway.job_runs`. */
export const archivalRuns = archive.table(
  'archival_runs',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    runId: uuid('run_id').references(() => jobRuns.id, { onDelete: 'cascade' }),
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
    // The tables of one run.
    index('archival_runs_run_idx').on(table.runId),
    index('archival_runs_job_idx').on(table.jobName, table.startedAtMs.desc().nullsFirst()),
  ],
);
