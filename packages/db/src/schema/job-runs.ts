import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  check,
  index,
  integer,
  jsonb,
  text,
  uniqueIndex,
  uuid,
  primaryKey,
} from 'drizzle-orm/pg-core';
import {
  jobRunStatuses,
  oneOf,
  runTriggers,
  spillway,
  epochMs,
  now,
  archivalRunStatuses,
  archive,
  timestamptz,
} from './columns.ts';

/**
 * One row per run of a maintenance job, scheduled or requested. The rows of `archive.archival_runs`, one per table of the run, are
 * its children. `due_at` is the moment of the schedule that the run is for, by Postgres' clock, and null for a run by hand. What
 * is overdue is decided by these rows; `baseline` marks where a job's history begins.
 */
export const jobRuns = spillway.table(
  'job_runs',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    job: text('job').notNull(),
    dueAtMs: epochMs('due_at'),
    trigger: text('trigger', { enum: runTriggers }).notNull(),
    dryRun: boolean('dry_run').notNull().default(false),
    status: text('status', { enum: jobRunStatuses }).notNull().default('running'),
    /** 2 or more: earlier attempts failed, or their process died. */
    attempts: integer('attempts').notNull().default(1),
    /** Of the last attempt. */
    startedAtMs: epochMs('started_at').notNull().default(now),
    finishedAtMs: epochMs('finished_at'),
    durationMs: bigint('duration_ms', { mode: 'number' }),
    errorMessage: text('error_message'),
    /** The result of a job without tables. */
    details: jsonb('details').notNull().default({}),
  },
  (table) => [
    check('job_runs_trigger_check', oneOf(table.trigger, runTriggers)),
    check('job_runs_status_check', oneOf(table.status, jobRunStatuses)),
    uniqueIndex('job_runs_due_key')
      .on(table.job, table.dueAtMs)
      .where(sql`${table.dueAtMs} is not null`),
    // The last run of a job, for the schedule, alerts and the dashboard.
    index('job_runs_job_idx').on(table.job, table.startedAtMs.desc().nullsFirst()),
    index('job_runs_started_at_idx').on(table.startedAtMs, table.id),
  ],
);

/** When a worker last recorded what it observed: one row, taken in turns. */
export const observerTurns = spillway.table(
  'observer_turns',
  {
    id: integer('id').primaryKey().default(1),
    takenAtMs: epochMs('taken_at').notNull(),
  },
  (table) => [check('observer_turns_one_row_check', sql`${table.id} = 1`)],
);

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

/**
 * Partitions on their way from a live table into its archive. A row is written before the partition is detached and deleted
 * with the transaction that attaches it, so that a table which belongs to neither is known after a crash.
 */
export const partitionMoves = spillway.table(
  'partition_moves',
  {
    partitionSchema: text('partition_schema').notNull(),
    partitionName: text('partition_name').notNull(),
    sourceSchema: text('source_schema').notNull(),
    sourceName: text('source_name').notNull(),
    targetSchema: text('target_schema').notNull(),
    targetName: text('target_name').notNull(),
    /** `FOR VALUES FROM (…) TO (…)`, as read in UTC. */
    bound: text('bound').notNull(),
    begunAt: timestamptz('begun_at').notNull().defaultNow(),
  },
  (table) => [primaryKey({ name: 'partition_moves_pkey', columns: [table.partitionSchema, table.partitionName] })],
);
