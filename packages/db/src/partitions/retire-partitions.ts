import { PartitionError, type TableName, listPartitions, type Partition } from './partitioned-table.ts';
import type { Connection } from '../connection.ts';
import { InvalidOptionError, wholeNumber } from '../errors.ts';

/** Which partitions leave a table, and what becomes of them. */
export interface RetirePartitionsOptions {
  readonly table: TableName;
  /** Full months that stay besides the present one. */
  readonly keepMonths: number;
  /** `detach` leaves each as a table by itself; `drop` deletes it and its rows. */
  readonly action: 'detach' | 'drop';
  /** The moment that counts as now. @default Postgres' clock */
  readonly now?: Date;
  /** Only report. @default false */
  readonly dryRun?: boolean;
}

/** What left the table, oldest first, by `schema.name`. */
export interface RetirePartitionsReport {
  readonly table: string;
  readonly detached: readonly string[];
  readonly dropped: readonly string[];
}

/**
 * Takes partitions that lie wholly before the months to keep out of their table. DETACH CONCURRENTLY keeps neither readers nor
 * writers waiting; it waits for transactions that use the partition, as long as the session's statement_timeout lets it. One
 * that is interrupted stays half detached, and the next run finishes it.
 *
 * Needs one connection outside a transaction.
 * @throws {PartitionError} when the table isn't partitioned by range on one column of time, or has a DEFAULT partition.
 * @throws {InvalidOptionError} for an option that can't work.
 */
export async function retirePartitions(
  connection: Connection,
  options: RetirePartitionsOptions,
): Promise<RetirePartitionsReport> {
  const { table, action, dryRun = false } = options;
  wholeNumber('keepMonths', options.keepMonths, 0, 12_000);
  if (action !== 'detach' && action !== 'drop') throw new InvalidOptionError('action', action, '"detach" or "drop"');
  const boundMs = await oldestKeptMs(connection, options);
  const old = (await listPartitions(connection, table)).filter(({ toMs }) => toMs <= boundMs);
  const stray = old.length === 0 ? undefined : await readDefaultPartition(connection, table);
  if (stray !== undefined) {
    const label = `${table.schema}.${table.name}`;
    const text = `has the DEFAULT partition ${stray}, beside which Postgres detaches no month CONCURRENTLY: detach it first`;
    throw new PartitionError('default_partition', label, text);
  }
  const names: string[] = [];
  for (const partition of old) {
    if (!dryRun) await retire(connection, table, partition, action);
    names.push(`${partition.schema}.${partition.name}`);
  }
  return {
    table: `${table.schema}.${table.name}`,
    detached: action === 'detach' ? names : [],
    dropped: action === 'drop' ? names : [],
  };
}

/** Its name, qualified; undefined when the table has none. */
async function readDefaultPartition(connection: Connection, { schema, name }: TableName): Promise<string | undefined> {
  const { rows } = await connection.query<{ name: string }>(
    `SELECT format('%s.%s', n.nspname, d.relname) AS name
     FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid JOIN pg_namespace s ON s.oid = c.relnamespace
     JOIN pg_class d ON d.oid = p.partdefid JOIN pg_namespace n ON n.oid = d.relnamespace
     WHERE s.nspname = $1 AND c.relname = $2`,
    [schema, name],
  );
  return rows[0]?.name;
}

async function retire(
  connection: Connection,
  table: TableName,
  partition: Partition,
  action: RetirePartitionsOptions['action'],
): Promise<void> {
  const qualified = ({ schema, name }: TableName): string =>
    `${connection.escapeIdentifier(schema)}.${connection.escapeIdentifier(name)}`;
  const how = partition.detaching ? 'FINALIZE' : 'CONCURRENTLY';
  await connection.query(`ALTER TABLE ${qualified(table)} DETACH PARTITION ${qualified(partition)} ${how}`);
  if (action === 'drop') await connection.query(`DROP TABLE ${qualified(partition)}`);
}

/** The first moment of the oldest month that stays, in epoch milliseconds. */
async function oldestKeptMs(connection: Connection, { now, keepMonths }: RetirePartitionsOptions): Promise<number> {
  const present = now ?? (await readNow(connection));
  return Date.UTC(present.getUTCFullYear(), present.getUTCMonth() - keepMonths, 1);
}

async function readNow(connection: Connection): Promise<Date> {
  const { rows } = await connection.query<{ ms: number }>('SELECT (extract(epoch FROM now()) * 1000)::float8 AS ms');
  return new Date(rows[0]?.ms ?? Number.NaN);
}
