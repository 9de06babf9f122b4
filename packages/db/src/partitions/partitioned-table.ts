import type { Connection } from '../connection/connection.ts';

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
