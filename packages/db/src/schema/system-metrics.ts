import { sql } from 'drizzle-orm';
import { bigint, check, index, integer, jsonb, numeric, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { timestamptz } from './timestamps.ts';

/**
 * Samples written by `record_metric()` and read by `get_metric_stats()`; both functions are in their own migration. Those
 * that came through an outbox say where they were in it, so that the reconcile doesn't miss them.
 */
export const systemMetrics = pgTable(
  'system_metrics',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    metricName: text('metric_name').notNull(),
    metricValue: numeric('metric_value').notNull(),
    metricUnit: text('metric_unit'),
    tags: jsonb('tags').notNull().default({}),
    recordedAt: timestamptz('recorded_at').notNull().defaultNow(),
    outboxShard: integer('outbox_shard'),
    outboxEpoch: bigint('outbox_epoch', { mode: 'number' }),
    outboxSeq: bigint('outbox_seq', { mode: 'number' }),
  },
  (table) => [
    // One NaN or Infinity would make every statistic over it meaningless. NaN counts as greater than Infinity.
    check('system_metrics_finite_check', sql`${table.metricValue} > '-Infinity' and ${table.metricValue} < 'Infinity'`),
    check('system_metrics_name_check', sql`${table.metricName} <> ''`),
    // get_metric_stats: drizzle can't say INCLUDE, so the value is the last key column.
    index('system_metrics_stats_idx').on(table.metricName, table.recordedAt.desc().nullsFirst(), table.metricValue),
    // Cleanup by age.
    index('system_metrics_recorded_at_idx').on(table.recordedAt),
  ],
);
