import { setTimeout as sleep } from 'node:timers/promises';
import { attachPartition, lockCreators, partitionName, findCoveringPartition } from './attach-partition.ts';
import {
  PartitionError,
  type PartitionErrorReason,
  label,
  type PartitionedTable,
  readPartitionedTable,
  type TableName,
  monthsFrom,
  type Period,
} from './partitioned-table.ts';
import { type Connection, transaction } from '../connection.ts';
import { sqlState, InvalidOptionError, wholeNumber } from '../errors.ts';

/** Which months of which table must exist. */
export interface EnsurePartitionsOptions {
  /** The table, partitioned by range on one column of time. */
  readonly table: TableName;
  /** Months after the present one. @default 3 */
  readonly monthsAhead?: number;
  /** The moment that counts as now. @default Postgres' clock, since a worker's may be days off */
  readonly now?: Date;
  /** Longest wait for a lock, in milliseconds, after which the attempt is given up. @default 500 */
  readonly lockTimeoutMs?: number;
  /** Attempts for each month. @default 20 */
  readonly attempts?: number;
  /** Pause between attempts, in milliseconds; statements that queued behind the lock go first. @default 250 */
  readonly retryDelayMs?: number;
  /** Only report what would be made. @default false */
  readonly dryRun?: boolean;
}

/** What was found and made, by partition name, oldest month first. */
export interface EnsurePartitionsReport {
  /** `schema.name` of the partitioned table. */
  readonly table: string;
  /** Made now; in a dry run, what would be. */
  readonly created: readonly string[];
  /** There already; a partition that holds several of the months is named once for each. */
  readonly existing: readonly string[];
}

/** How the locks are come by; see {@link EnsurePartitionsOptions}. */
export type AttachSettings = Required<
  Pick<EnsurePartitionsOptions, 'lockTimeoutMs' | 'attempts' | 'retryDelayMs' | 'dryRun'>
>;

/**
 * Makes the partitions for this month (UTC) and the next ones where they are missing. Safe to run at any time, by any
 * number of processes at once; it never keeps readers or writers of the table waiting.
 *
 * Each month is its own transaction, so needs one connection outside a transaction; a transaction pooler is fine.
 * @throws {PartitionError} with the reason; months made before it stay.
 * @throws {InvalidOptionError} for an option that can't work.
 */
export async function ensurePartitions(
  connection: Connection,
  options: EnsurePartitionsOptions,
): Promise<EnsurePartitionsReport> {
  const {
    table: name,
    now,
    monthsAhead = 3,
    lockTimeoutMs = 500,
    attempts = 20,
    retryDelayMs = 250,
    dryRun = false,
  } = options;
  wholeNumber('monthsAhead', monthsAhead, 0);
  wholeNumber('lockTimeoutMs', lockTimeoutMs, 1);
  wholeNumber('attempts', attempts, 1);
  wholeNumber('retryDelayMs', retryDelayMs, 0);
  if (now !== undefined && Number.isNaN(now.getTime())) throw new InvalidOptionError('now', now, 'a valid date');

  const table = await readPartitionedTable(connection, name);
  const months = monthsFrom(now ?? (await readClock(connection)), monthsAhead);
  return ensurePeriods(connection, table, months, { lockTimeoutMs, attempts, retryDelayMs, dryRun });
}

/**
 * Makes the partitions for the periods where they are missing.
 * @throws {PartitionError} as {@link ensurePartitions}.
 */
export async function ensurePeriods(
  connection: Connection,
  table: PartitionedTable,
  periods: readonly Period[],
  settings: AttachSettings,
): Promise<EnsurePartitionsReport> {
  const created: string[] = [];
  const existing: string[] = [];
  for (const period of periods) {
    // One after the other: they need the same lock.
    const found = await ensurePeriod(connection, table, period, settings);
    if (found === null) created.push(partitionName(table, period));
    else existing.push(found);
  }
  return { table: label(table), created, existing };
}

/** Postgres' clock. */
export async function readClock(connection: Connection): Promise<Date> {
  const { rows } = await connection.query<{ ms: number }>('SELECT (extract(epoch FROM now()) * 1000)::float8 AS ms');
  return new Date(rows[0]?.ms ?? Number.NaN);
}

/** The partition that already held the period, or null when it was made now. */
async function ensurePeriod(
  connection: Connection,
  table: PartitionedTable,
  period: Period,
  settings: AttachSettings,
): Promise<string | null> {
  assertNameFits(table, period);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await tryPeriod(connection, table, period, settings);
    } catch (error) {
      const reason = failureReason(error);
      if (reason === null) throw error;
      // A stranger (not ours: they take turns) may have made the same table a moment ago: then the next attempt finds it.
      const final = reason === 'overlap' || reason === 'default_partition' || (reason === 'name_taken' && attempt > 1);
      const last = attempt >= settings.attempts || final;
      if (last) {
        const text = `partition ${partitionName(table, period)} not made after ${attempt} attempt(s)`;
        throw new PartitionError(reason, label(table), `${text}: ${messageOf(error)}`, { cause: error });
      }
      await sleep(settings.retryDelayMs);
    }
  }
}

async function tryPeriod(
  connection: Connection,
  table: PartitionedTable,
  period: Period,
  { lockTimeoutMs, dryRun }: AttachSettings,
): Promise<string | null> {
  return transaction(connection, { lockTimeoutMs, timeZone: 'UTC' }, async () => {
    if (!dryRun) await lockCreators(connection, table);
    const found = await findCoveringPartition(connection, table, period);
    if (found === null && !dryRun) await attachPartition(connection, table, period);
    return found;
  });
}

/** Null for errors that are not about the partition. */
function failureReason(error: unknown): PartitionErrorReason | null {
  switch (sqlState(error)) {
    // lock_not_available, deadlock_detected
    case '55P03':
    case '40P01':
      return 'lock_timeout';
    // duplicate_table; unique_violation in pg_class or pg_type when two make it at the same moment
    case '42P07':
    case '23505':
      return 'name_taken';
    // invalid_object_definition: "would overlap partition"
    case '42P17':
      return 'overlap';
    // check_violation: "updated partition constraint for default partition would be violated by some row"
    case '23514':
      return 'default_partition';
    default:
      return null;
  }
}

function assertNameFits(table: PartitionedTable, period: Period): void {
  const name = partitionName(table, period);
  // NAMEDATALEN - 1. Cut names of different periods would be the same name.
  if (Buffer.byteLength(name) > 63) {
    throw new PartitionError('name_too_long', label(table), `partition name ${name} exceeds 63 bytes`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
