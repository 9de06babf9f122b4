import { and } from 'drizzle-orm';
import { epochMs, equals, type Page, type PageOptions, readPage } from './query/keyset-page.ts';
import { columnsOf, typed } from './query/typed.ts';
import { type InsertRows, type NewRow, unnestInsert } from './query/unnest-insert.ts';
import { systemMetrics } from './schema/metrics.ts';
import type { Queryable, Connection } from './connection.ts';
import { sqlState, wholeNumber } from './errors.ts';
import { ensurePeriods, type EnsurePartitionsReport, readClock } from './partitions/ensure-partitions.ts';
import { readPartitionedTable, type TableName, listPartitions, daysFrom } from './partitions/partitioned-table.ts';

/** One sample, as a row of `system_metrics`. Its place in an outbox is absent when it came by itself. */
export type MetricRow = NewRow<typeof systemMetrics>;

/**
 * Inserts samples and returns how many were new.
 * Rejects with pg's error and inserts nothing when one row is bad (a value that isn't finite, an empty name).
 */
export const insertMetrics: InsertRows<MetricRow> = unnestInsert(systemMetrics);

/** One sample of a metric, as it is read. */
export type StoredMetric = Readonly<
  Omit<typeof systemMetrics.$inferSelect, 'outboxShard' | 'outboxEpoch' | 'outboxSeq'>
>;

/** Which samples, and from where on. */
export interface ListMetricsOptions extends PageOptions {
  readonly metricName?: string;
}

const { outboxShard: _shard, outboxEpoch: _epoch, outboxSeq: _seq, ...shown } = columnsOf(systemMetrics);

/** One page of samples, newest first, filtered. */
export async function listMetrics(db: Queryable, options: ListMetricsOptions = {}): Promise<Page<StoredMetric>> {
  return readPage(systemMetrics, 'recordedAtMs', options, async ({ where, orderBy, limit }) =>
    typed(db)
      .select(shown)
      .from(systemMetrics)
      .where(and(where, equals(systemMetrics.metricName, options.metricName)))
      .orderBy(...orderBy)
      .limit(limit),
  );
}

/** One sample to store. */
export interface MetricSample {
  readonly name: string;
  /** Finite. */
  readonly value: number;
  /** Such as `ms`. @default none */
  readonly unit?: string;
  /** @default {} */
  readonly tags?: Readonly<Record<string, unknown>>;
}

/** Stores one sample by `record_metric()`; resolves to its id. */
export async function recordMetric(db: Queryable, { name, value, unit, tags = {} }: MetricSample): Promise<string> {
  const { rows } = await db.query<{ id: string }>(
    'SELECT public.record_metric($1, $2::float8::numeric, $3, $4::jsonb) AS id',
    [name, value, unit ?? null, JSON.stringify(tags)],
  );
  const [row] = rows;
  if (row === undefined) throw new Error('record_metric() returned no row');
  return row.id;
}

/** Statistics of one metric; all but `count` are null where there are no samples. */
export interface MetricStats {
  readonly minValue: number | null;
  readonly maxValue: number | null;
  readonly avgValue: number | null;
  readonly count: number;
  readonly lastValue: number | null;
  /** Epoch ms. */
  readonly lastRecordedAtMs: number | null;
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

/** A year. */
const MOST_HOURS = 8_784;

const QUERY = `
  SELECT min_value::float8 AS "minValue", max_value::float8 AS "maxValue", avg_value::float8 AS "avgValue",
         count::float8 AS count, last_value::float8 AS "lastValue", p50, p95, p99,
         ${epochMs('last_recorded_at', 'lastRecordedAtMs')}
  FROM public.get_metric_stats($1, $2)`;

/**
 * Statistics of a metric over the last hours, by `get_metric_stats()`.
 * @param hours 1 to 8,784
 * @throws {InvalidOptionError} for `hours` out of range.
 */
export async function metricStats(db: Queryable, name: string, hours = 24): Promise<MetricStats> {
  const { rows } = await db.query<MetricStats>(QUERY, [name, wholeNumber('hours', hours, 1, MOST_HOURS)]);
  const [row] = rows;
  if (row === undefined) throw new Error('get_metric_stats() returned no row');
  return row;
}

/** How names of our own metrics begin. */
const prefixes = ['audit_', 'rate_limit.', 'spillway.', 'spillway_'];

const names = new Set([
  'clock_skew_ms',
  'job_duration_ms',
  'job_last_success_age_ms',
  'partition_days_ready',
  'partition_months_ready',
]);

/**
 * Whether a metric's name is one of those that the worker records: alerts and the dashboard go by them, so no other role may
 * write them.
 */
export function isReservedMetric(name: string): boolean {
  return names.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}

/** Minutes summed up by one statement. */
const CHUNK_MINUTES = 240;

/**
 * Sums up samples that are two minutes old and older, so that `get_metric_stats()` need not read them. Any number of
 * processes may call it at once; goes on the next time after `timeBudgetMs` milliseconds.
 */
export async function rollUpMetrics(db: Queryable, timeBudgetMs = 5_000): Promise<void> {
  const deadline = performance.now() + timeBudgetMs;
  try {
    await db.query('SELECT spillway.seal_metrics()');
  } catch (error) {
    // lock_not_available: a long insert is in flight. What was sealed before can be summed up.
    if (sqlState(error) !== '55P03') throw error;
  }
  for (;;) {
    const { rows } = await db.query<{ more: boolean }>('SELECT spillway.roll_up_metrics($1) AS more', [CHUNK_MINUTES]);
    if (rows[0]?.more !== true || performance.now() >= deadline) return;
  }
}

/** Samples, one partition a day. The days lie where nothing is exposed. */
const metricsTable: TableName = { schema: 'public', name: 'system_metrics' };
const PARTITION_SCHEMA = 'spillway';

/** Which days of samples must exist. */
export interface MetricDaysOptions {
  /** Days after today. More than a month, so that the monthly job alone is enough. @default 40 */
  readonly daysAhead?: number;
  /** Days before today, for events that were on their way when the table was made. @default 7 */
  readonly daysBehind?: number;
  /** The moment that counts as now. @default Postgres' clock */
  readonly now?: Date;
  /** Only report what would be made. @default false */
  readonly dryRun?: boolean;
}

/**
 * Makes the missing days of `system_metrics` (UTC), as `ensurePartitions` makes months: readers and writers go on.
 * @throws {PartitionError} with the reason; days made before it stay.
 * @throws {InvalidOptionError} for an option that can't work.
 */
export async function ensureMetricDays(
  connection: Connection,
  { daysAhead = 40, daysBehind = 7, now, dryRun = false }: MetricDaysOptions = {},
): Promise<EnsurePartitionsReport> {
  wholeNumber('daysAhead', daysAhead, 0, 366);
  wholeNumber('daysBehind', daysBehind, 0, 366);
  const table = { ...(await readPartitionedTable(connection, metricsTable)), partitionSchema: PARTITION_SCHEMA };
  const days = daysFrom(now ?? (await readClock(connection)), daysBehind, daysAhead);
  const partitions = await listPartitions(connection, metricsTable);
  const existing: string[] = [];
  // One look at all of them instead of a transaction for each day that is there.
  const missing = days.filter(({ from, to }) => {
    const found = partitions.find((each) => each.fromMs <= Date.parse(from) && each.toMs >= Date.parse(to));
    if (found !== undefined) existing.push(found.name);
    return found === undefined;
  });
  const made = await ensurePeriods(connection, table, missing, {
    lockTimeoutMs: 500,
    attempts: 20,
    retryDelayMs: 250,
    dryRun,
  });
  return { ...made, existing: [...existing, ...made.existing] };
}

/** How many days after today samples have a place without a hole, up to 366; -1 when today has none. */
export async function metricDaysReady(connection: Connection, nowMs: number): Promise<number> {
  const partitions = await listPartitions(connection, metricsTable);
  const days = daysFrom(new Date(nowMs), 0, 366);
  const hole = days.findIndex(
    ({ from, to }) =>
      !partitions.some((each) => !each.detaching && each.fromMs <= Date.parse(from) && each.toMs >= Date.parse(to)),
  );
  return hole < 0 ? 366 : hole - 1;
}
