import type { Connection } from '../connection/connection.ts';
import { wholeNumber } from '../invalid-option-error.ts';
import { ensurePeriods, type EnsurePartitionsReport, readClock } from '../partitions/ensure-partitions.ts';
import { listPartitions, daysFrom } from '../partitions/list-partitions.ts';
import { readPartitionedTable, type TableName } from '../partitions/partitioned-table.ts';

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
