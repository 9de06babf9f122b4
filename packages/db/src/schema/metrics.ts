import { sql } from 'drizzle-orm';
import {
  bigint,
  check,
  index,
  integer,
  jsonb,
  numeric,
  primaryKey,
  text,
  uuid,
  boolean,
  uniqueIndex,
} from 'drizzle-orm/pg-core';
import { publicSchema, epochMs, now, spillway, timestamptz } from './columns.ts';

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

/**
 * Thresholds that were crossed. A rule has at most one open row; it is resolved when the value is back. The row says which
 * notifications the webhook has received, so that another worker sends those of one that died.
 */
export const alerts = spillway.table(
  'alerts',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    rule: text('rule').notNull(),
    openedAtMs: epochMs('opened_at').notNull().default(now),
    /** Null while it is open. */
    resolvedAtMs: epochMs('resolved_at'),
    /** While open, the worst value so far. */
    value: numeric('value', { mode: 'number' }).notNull(),
    threshold: numeric('threshold', { mode: 'number' }).notNull(),
    details: jsonb('details').$type<Readonly<Record<string, unknown>>>().notNull().default({}),
    notifiedOpenedAtMs: epochMs('notified_opened_at'),
    notifiedResolvedAtMs: epochMs('notified_resolved_at'),
  },
  (table) => [
    uniqueIndex('alerts_open_key')
      .on(table.rule)
      .where(sql`${table.resolvedAtMs} is null`),
    index('alerts_opened_at_idx').on(table.openedAtMs),
    // Notifications that are not delivered yet.
    index('alerts_untold_idx')
      .on(table.openedAtMs)
      .where(
        sql`${table.notifiedOpenedAtMs} is null or (${table.resolvedAtMs} is not null and ${table.notifiedResolvedAtMs} is null)`,
      ),
  ],
);
