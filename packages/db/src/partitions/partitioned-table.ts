import { type Connection, transaction } from '../connection.ts';

/** A table's schema and name, unquoted. */
export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/** For people. */
export function label({ schema, name }: TableName): string {
  return `${schema}.${name}`;
}

/** For SQL, quoted. */
export function qualified(connection: Pick<Connection, 'escapeIdentifier'>, { schema, name }: TableName): string {
  return `${connection.escapeIdentifier(schema)}.${connection.escapeIdentifier(name)}`;
}

/** A table partitioned by range on one column of time. */
export interface PartitionedTable extends TableName {
  readonly oid: number;
  /** The partition key's column, unquoted. */
  readonly column: string;
  /** Where new partitions go. @default the table's own schema */
  readonly partitionSchema?: string;
  /** Row level security is on. */
  readonly rowSecurity: boolean;
}

interface CatalogRow {
  oid: number;
  strategy: string | null;
  key_columns: number | null;
  column_name: string | null;
  column_type: string | null;
  row_security: boolean;
}

const QUERY = `
  SELECT c.oid, p.partstrat AS strategy, p.partnatts AS key_columns,
         a.attname AS column_name, format_type(a.atttypid, NULL) AS column_type, c.relrowsecurity AS row_security
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_partitioned_table p ON p.partrelid = c.oid
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
  WHERE n.nspname = $1 AND c.relname = $2`;

const TIME_TYPES: ReadonlySet<string | null> = new Set([
  'timestamp with time zone',
  'timestamp without time zone',
  'date',
]);

/**
 * Looks up how a table is partitioned.
 * @throws {PartitionError} `not_partitioned` or `unsupported_key`.
 */
export async function readPartitionedTable(connection: Connection, table: TableName): Promise<PartitionedTable> {
  const { rows } = await connection.query<CatalogRow>(QUERY, [table.schema, table.name]);
  const [found] = rows;
  if (found === undefined) throw new PartitionError('not_partitioned', label(table), 'there is no such table');
  if (found.strategy !== 'r') throw new PartitionError('not_partitioned', label(table), 'is not partitioned by RANGE');
  if (found.key_columns !== 1 || found.column_name === null || !TIME_TYPES.has(found.column_type)) {
    throw new PartitionError(
      'unsupported_key',
      label(table),
      'must be partitioned on one timestamptz, timestamp or date column',
    );
  }
  return { ...table, oid: found.oid, column: found.column_name, rowSecurity: found.row_security };
}

/** Whether there is such a table and it isn't partitioned: an archive may be one, and then it needs no months. */
export async function isPlainTable(connection: Connection, { schema, name }: TableName): Promise<boolean> {
  const { rowCount } = await connection.query(
    `SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'r'`,
    [schema, name],
  );
  return rowCount === 1;
}

/**
 * Why a partition could not be made:
 * - `not_partitioned`: the table is missing or isn't partitioned by RANGE.
 * - `unsupported_key`: the key isn't one column of type timestamptz, timestamp or date.
 * - `name_too_long`: Postgres would cut the partition's name.
 * - `name_taken`: a table of that name exists and isn't a partition for that month.
 * - `overlap`: an existing partition holds a part of the month.
 * - `default_partition`: the DEFAULT partition has rows of the month, or keeps others from being detached.
 * - `lock_timeout`: the locks weren't free at any attempt; trying later will do.
 */
export type PartitionErrorReason =
  | 'not_partitioned'
  | 'unsupported_key'
  | 'name_too_long'
  | 'name_taken'
  | 'overlap'
  | 'default_partition'
  | 'lock_timeout';

/** A partition could not be made or taken out. What was done before stays. */
export class PartitionError extends Error {
  override readonly name: string = 'PartitionError';
  readonly code = 'partition_error' as const;
  readonly reason: PartitionErrorReason;
  /** The partitioned table, `schema.name`. */
  readonly table: string;

  constructor(reason: PartitionErrorReason, table: string, message: string, options?: ErrorOptions) {
    super(`${table}: ${message}`, options);
    this.reason = reason;
    this.table = table;
  }
}

/** A partition and what it holds. */
export interface Partition {
  /** In the parent's schema or another one. */
  readonly schema: string;
  readonly name: string;
  /** First moment, included, in epoch milliseconds; -Infinity for MINVALUE. */
  readonly fromMs: number;
  /** First moment after, in epoch milliseconds; Infinity for MAXVALUE. */
  readonly toMs: number;
  /** A DETACH CONCURRENTLY of it began and was interrupted; it must be finished first. */
  readonly detaching: boolean;
}

/** The bounds are text in the session's time zone; UTC is what bounds of type timestamp and date are meant in. */
const LIST_QUERY = `
  WITH bounds AS (
    SELECT n.nspname AS schema, c.relname AS name, i.inhdetachpending AS detaching,
           regexp_match(
             pg_get_expr(c.relpartbound, c.oid),
             'FROM [(](MINVALUE|''[^'']*'')[)] TO [(](MAXVALUE|''[^'']*'')[)]'
           ) AS bound
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.inhparent = $1
  )
  SELECT schema, name, detaching,
         CASE bound[1] WHEN 'MINVALUE' THEN '-Infinity'::float8
           ELSE (extract(epoch FROM trim(BOTH '''' FROM bound[1])::timestamptz) * 1000)::float8 END AS "fromMs",
         CASE bound[2] WHEN 'MAXVALUE' THEN 'Infinity'::float8
           ELSE (extract(epoch FROM trim(BOTH '''' FROM bound[2])::timestamptz) * 1000)::float8 END AS "toMs"
  FROM bounds
  WHERE bound IS NOT NULL
  ORDER BY "toMs", name`;

/**
 * The partitions of a table, oldest first; a DEFAULT partition is left out.
 * @throws {PartitionError} when the table isn't partitioned by range on one column of time.
 */
export async function listPartitions(connection: Connection, name: TableName): Promise<Partition[]> {
  const table: PartitionedTable = await readPartitionedTable(connection, name);
  return transaction(connection, { timeZone: 'UTC' }, async () => {
    const { rows } = await connection.query<{ [Key in keyof Partition]: Partition[Key] }>(LIST_QUERY, [table.oid]);
    return rows;
  });
}

/**
 * How many months after the one of `nowMs` the table has without a hole; -1 when the present one is missing. A partition that
 * reaches to MAXVALUE counts as 120 months.
 */
export function monthsReady(partitions: readonly Partition[], nowMs: number): number {
  const now = new Date(nowMs);
  for (let ahead = 0; ahead <= 120; ahead += 1) {
    const from = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1);
    const to = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead + 1, 1);
    const covered = partitions.some((each) => !each.detaching && each.fromMs <= from && each.toMs >= to);
    if (!covered) return ahead - 1;
  }
  return 120;
}

/** One calendar month or day in UTC, as the bounds of a partition. */
export interface Period {
  /** `2025_12` or `2025_12_31`, the end of the partition's name. */
  readonly suffix: string;
  /**
   * First moment, included. The offset is written out: a bound without one is read in the session's time zone, and in a
   * New York session the months would begin five hours late.
   */
  readonly from: string;
  /** First moment of the next one, excluded. */
  readonly to: string;
}

const DAY_MS = 86_400_000;

/** The month that holds `now`, and the `monthsAhead` after it. */
export function monthsFrom(now: Date, monthsAhead: number): Period[] {
  return Array.from({ length: monthsAhead + 1 }, (_, ahead) => {
    const index = now.getUTCMonth() + ahead;
    // Day 1 always exists, so the index may run past December; counting from the 31st would skip short months.
    const from = firstOf(now.getUTCFullYear(), index);
    const to = firstOf(now.getUTCFullYear(), index + 1);
    return { suffix: day(from).slice(0, 7).replace('-', '_'), from: bound(from), to: bound(to) };
  });
}

/** The day that holds `now`, with the `behind` days before it and the `ahead` after it, oldest first. */
export function daysFrom(now: Date, behind: number, ahead: number): Period[] {
  return Array.from({ length: behind + 1 + ahead }, (_, index) => {
    const from = new Date(now.getTime() + (index - behind) * DAY_MS);
    return { suffix: day(from).replaceAll('-', '_'), from: bound(from), to: bound(new Date(from.getTime() + DAY_MS)) };
  });
}

/** The first day of a month. `Date.UTC` takes the years 0 to 99 for 1900 to 1999. */
function firstOf(year: number, month: number): Date {
  const first = new Date(0);
  first.setUTCFullYear(year, month, 1);
  return first;
}

function bound(date: Date): string {
  return `${day(date)} 00:00:00+00`;
}

/** `2025-12-01`, of the years 1 to 9999. */
function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
