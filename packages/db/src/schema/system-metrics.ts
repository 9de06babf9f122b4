import { sql } from 'drizzle-orm';
import { bigint, check, index, integer, jsonb, numeric, primaryKey, text, uuid } from 'drizzle-orm/pg-core';
import { publicSchema } from './schemas.ts';
import { epochMs, now } from './timestamps.ts';

/**
 * Samples written by `record_metric()` and read by `get_metric_stats()`; both functions are in their own migration. Those
 * that came through an outbox say where they were in it, so that the reconcile doesn't miss them.
 *
 * Partitioned by day (UTC) on `recorded_at`; the days lie in the schema `spillway`. A sample of a day without a partition is
 * refused with error 23514.
 */
export const systemMetrics = publicSchema.table(
  'system_metrics',
  {
    /** UUID of the writer's choice; the same id at the same time again inserts nothing. */
    id: uuid('id').notNull().defaultRandom(),
    metricName: text('metric_name').notNull(),
    /** Finite. */
    metricValue: numeric('metric_value', { mode: 'number' }).notNull(),
    /** Such as `ms`; null for a plain number. */
    metricUnit: text('metric_unit'),
    tags: jsonb('tags').$type<Readonly<Record<string, unknown>>>().notNull().default({}),
    recordedAtMs: epochMs('recorded_at').notNull().default(now),
    outboxShard: integer('outbox_shard'),
    outboxEpoch: bigint('outbox_epoch', { mode: 'number' }),
    outboxSeq: bigint('outbox_seq', { mode: 'number' }),
  },
  (table) => [
    // One NaN or Infinity would make every statistic over it meaningless. NaN counts as greater than Infinity.
    check('system_metrics_finite_check', sql`${table.metricValue} > '-Infinity' and ${table.metricValue} < 'Infinity'`),
    check('system_metrics_name_check', sql`${table.metricName} <> '' and octet_length(${table.metricName}) <= 512`),
    // Bounds for SQL that calls record_metric(): one sample can't be of any size.
    check('system_metrics_unit_check', sql`octet_length(${table.metricUnit}) <= 128`),
    check('system_metrics_tags_check', sql`pg_column_size(${table.tags}) <= 32768`),
    // Time first: new rows go to the right edge, and pages, roll-ups and ranges of time read the key.
    primaryKey({ name: 'system_metrics_pkey', columns: [table.recordedAtMs, table.id] }),
    // get_metric_stats: drizzle can't say INCLUDE, so the value is the last key column.
    index('system_metrics_stats_idx').on(table.metricName, table.recordedAtMs.desc().nullsFirst(), table.metricValue),
    index('system_metrics_outbox_idx')
      .on(table.outboxShard, table.outboxEpoch, table.outboxSeq)
      .where(sql`${table.outboxSeq} is not null`),
  ],
);
