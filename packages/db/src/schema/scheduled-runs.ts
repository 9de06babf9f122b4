import { sql } from 'drizzle-orm';
import { bigint, check, integer, primaryKey, text, uuid } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { timestamptz } from './timestamps.ts';

/**
 * One row per moment at which a job was due and ran, by Postgres' clock. The history that catch-up is decided by: a
 * job is overdue when its newest due moment has no row here. `baseline` marks where a job's history begins.
 */
export const scheduledRuns = spillway.table(
  'scheduled_runs',
  {
    jobName: text('job_name').notNull(),
    slot: timestamptz('slot').notNull(),
    runId: uuid('run_id'),
    status: text('status').notNull(),
    attempts: integer('attempts').notNull().default(1),
    startedAt: timestamptz('started_at').notNull().defaultNow(),
    finishedAt: timestamptz('finished_at'),
    durationMs: bigint('duration_ms', { mode: 'number' }),
    errorMessage: text('error_message'),
  },
  (table) => [
    primaryKey({ name: 'scheduled_runs_pkey', columns: [table.jobName, table.slot] }),
    check(
      'scheduled_runs_status_check',
      sql`${table.status} in ('baseline', 'running', 'completed', 'partial', 'failed')`,
    ),
  ],
);
