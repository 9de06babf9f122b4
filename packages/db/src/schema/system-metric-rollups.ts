import { sql } from 'drizzle-orm';
import { bigint, boolean, check, index, integer, numeric, primaryKey, text } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { timestamptz } from './timestamps.ts';

/**
 * Samples of a metric summed up by the minute, ten minutes, hour and day (UTC), so that statistics over many samples read
 * few rows. The histogram is two arrays: `buckets` of logarithmic width (see the migration of the functions), `counts` of samples in each.
 */
export const systemMetricRollups = spillway.table(
  'system_metric_rollups',
  {
    metricName: text('metric_name').notNull(),
    widthMinutes: integer('width_minutes').notNull(),
    startedAt: timestamptz('started_at').notNull(),
    sampleCount: bigint('sample_count', { mode: 'number' }).notNull(),
    total: numeric('total').notNull(),
    minValue: numeric('min_value').notNull(),
    maxValue: numeric('max_value').notNull(),
    buckets: integer('buckets').array().notNull(),
    counts: bigint('counts', { mode: 'number' }).array().notNull(),
  },
  (table) => [
    primaryKey({
      name: 'system_metric_rollups_pkey',
      columns: [table.metricName, table.widthMinutes, table.startedAt],
    }),
    check('system_metric_rollups_width_check', sql`${table.widthMinutes} in (1, 10, 60, 1440)`),
    // Cleanup by age.
    index('system_metric_rollups_started_at_idx').on(table.startedAt),
  ],
);

/** Minutes that were summed up before a sample of theirs came: statistics go without rollups until it is done again. */
export const systemMetricLateMinutes = spillway.table(
  'system_metric_late_minutes',
  {
    metricName: text('metric_name').notNull(),
    startedAt: timestamptz('started_at').notNull(),
    touchedAt: timestamptz('touched_at').notNull().defaultNow(),
  },
  (table) => [primaryKey({ name: 'system_metric_late_minutes_pkey', columns: [table.metricName, table.startedAt] })],
);

/** One row. Samples before `sealed_through` are late; before `rolled_through` everything is summed up. */
export const systemMetricRollupState = spillway.table(
  'system_metric_rollup_state',
  {
    id: boolean('id').primaryKey().default(true),
    sealedThrough: timestamptz('sealed_through').notNull(),
    rolledThrough: timestamptz('rolled_through').notNull(),
  },
  (table) => [check('system_metric_rollup_state_one_row', sql`${table.id}`)],
);
