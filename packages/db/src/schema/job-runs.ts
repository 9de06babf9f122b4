import { sql } from 'drizzle-orm';
import { bigint, boolean, check, index, integer, jsonb, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { jobRunStatuses, oneOf, runTriggers } from './enumerations.ts';
import { spillway } from './schemas.ts';
import { epochMs, now } from './timestamps.ts';

/**
 * One row per run of a maintenance job, whoever asked for it. The rows of `archive.archival_runs`, one per table of the run, are
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
    /** What a job without tables has to tell. */
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
