import type { Queryable } from '../connection/connection.ts';

/** How a column travels: as an array of this type. `epoch_ms` are milliseconds that become a timestamptz. */
type ColumnType = 'uuid' | 'text' | 'int4' | 'int8' | 'numeric' | 'jsonb' | 'epoch_ms';

/** One column of an insert: its name, how it travels, and where in a row it is. */
export interface Column<Row> {
  readonly name: string;
  readonly type: ColumnType;
  readonly read: (row: Row) => string | number | null;
}

/** Inserts rows and returns how many were new; with no rows it sends nothing. */
export type InsertRows<Row> = (db: Queryable, rows: readonly Row[]) => Promise<number>;

/**
 * An idempotent insert of any number of rows in one statement: a parameter per column, whatever the number of rows, so the text
 * is the same for 1 row and for 2,000, and no limit on parameters is near.
 *
 * - `ON CONFLICT DO NOTHING`: sending a batch again inserts what was missing. All unique indexes
 *   count, not only the key's.
 * - `ORDER BY id`: two batches that share rows wait for each other instead of deadlocking.
 * - One bad row fails the statement and inserts nothing; the caller bisects.
 *
 * The statement is its own transaction, unnamed, and fine behind a transaction pooler.
 */
export function unnestInsert<Row>(table: string, columns: readonly Column<Row>[]): InsertRows<Row> {
  const names = columns.map(({ name }) => name).join(', ');
  const values = columns
    .map(({ name, type }) => (type === 'epoch_ms' ? `to_timestamp(${name} / 1000)` : name))
    .join(', ');
  const text = `
    INSERT INTO ${table} (${names})
    SELECT ${values} FROM unnest(${parametersOf(columns)}) AS row (${names})
    ORDER BY id
    ON CONFLICT DO NOTHING`;
  return async (db, rows) => {
    if (rows.length === 0) return 0;
    const { rowCount } = await db.query(text, valuesOf(columns, rows));
    return rowCount ?? 0;
  };
}

/** The same through a function of the database that takes an array a column and returns the number of rows it wrote. */
export function unnestCall<Row>(name: string, columns: readonly Column<Row>[]): InsertRows<Row> {
  const text = `SELECT ${name}(${parametersOf(columns)})::int AS changed`;
  return async (db, rows) => {
    if (rows.length === 0) return 0;
    const result = await db.query<{ changed: number }>(text, valuesOf(columns, rows));
    return result.rows[0]?.changed ?? 0;
  };
}

function parametersOf<Row>(columns: readonly Column<Row>[]): string {
  return columns.map(({ type }, index) => `$${index + 1}::${arrayType(type)}`).join(', ');
}

function valuesOf<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  return columns.map((column) => arrayLiteral(column, rows));
}

/** Milliseconds travel as float8, which holds Infinity (for ever) and is exact to the microsecond until the year 2255. */
function arrayType(type: ColumnType): string {
  return type === 'epoch_ms' ? 'float8[]' : `${type}[]`;
}

/**
 * A column's values as Postgres writes an array. pg would do the same, one value at a time with four regular
 * expressions each, which was half of what an insert cost this side.
 */
function arrayLiteral<Row>({ read, type }: Column<Row>, rows: readonly Row[]): string {
  const quoted = type === 'text' || type === 'jsonb';
  let literal = '';
  for (const row of rows) {
    const value = read(row);
    const separator = literal === '' ? '{' : ',';
    if (value === null) literal += `${separator}NULL`;
    else literal += quoted ? `${separator}"${escaped(String(value))}"` : `${separator}${value}`;
  }
  return `${literal}}`;
}

function escaped(text: string): string {
  return /["\\]/u.test(text) ? text.replaceAll(/["\\]/gu, '\\$&') : text;
}
