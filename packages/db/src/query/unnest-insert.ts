import { getTableColumns, getTableName, type Table } from 'drizzle-orm';
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core';
import { isEpochMs } from './typed.ts';
import type { Queryable } from '../connection.ts';
import { type ArrayElement, binaryArray, elementOf, textElement } from './binary-array.ts';

/** Inserts rows and returns how many were new; with no rows it sends nothing. */
export type InsertRows<Row> = (db: Queryable, rows: readonly Row[]) => Promise<number>;

/** How a column travels: its name in the row and in the table, and the type of its values. */
interface Parameter {
  readonly key: string;
  readonly name: string;
  /** Milliseconds that become a timestamptz. */
  readonly isTime: boolean;
  /** What the array is cast to: by way of text where the type has no binary form here. */
  readonly cast: string;
  readonly element: ArrayElement;
}

/** The columns of a table that can't be null. */
type Required<Row> = { [Key in keyof Row]: null extends Row[Key] ? never : Key }[keyof Row];

/**
 * A row of a table as it is inserted: every column but those that are left to their default. What can be null may be left out;
 * a column with a default may not, since one statement inserts all rows.
 */
export type NewRow<T extends Table, Omitted extends keyof T['$inferSelect'] = never> = Readonly<
  Pick<T['$inferSelect'], Exclude<Required<T['$inferSelect']>, Omitted>> &
    Partial<Omit<T['$inferSelect'], Required<T['$inferSelect']> | Omitted>>
>;

/**
 * An idempotent insert of any number of rows in one statement: a parameter per column, whatever the number of rows, so the text
 * is the same for 1 row and for 2,000, and no limit on parameters is near. Columns and their types are the table's.
 *
 * - `ON CONFLICT DO NOTHING`: sending a batch again inserts what was missing. All unique indexes
 *   count, not only the key's.
 * - `ORDER BY id`: two batches that share rows wait for each other instead of deadlocking.
 * - One bad row fails the statement and inserts nothing; the caller bisects.
 *
 * The statement is its own transaction, unnamed, and fine behind a transaction pooler.
 * @param omit columns that keep their default
 */
export function unnestInsert<T extends PgTable, Omitted extends keyof T['$inferSelect'] & string = never>(
  table: T,
  omit: readonly Omitted[] = [],
): InsertRows<NewRow<T, Omitted>> {
  const parameters = parametersOf(table, omit);
  const names = parameters.map(({ name }) => `"${name}"`).join(', ');
  const values = parameters.map(({ name, isTime }) => (isTime ? `to_timestamp("${name}" / 1000)` : `"${name}"`));
  const arrays = parameters.map(({ cast }, index) => `$${index + 1}::${cast}`);
  const { schema } = getTableConfig(table);
  const text = `
    INSERT INTO "${schema}"."${getTableName(table)}" (${names})
    SELECT ${values.join(', ')} FROM unnest(${arrays.join(', ')}) AS row (${names})
    ORDER BY "id"
    ON CONFLICT DO NOTHING`;
  return async (db, rows) => {
    if (rows.length === 0) return 0;
    const { rowCount } = await db.query(text, arraysOf(parameters, rows));
    return rowCount ?? 0;
  };
}

/**
 * The same through a function of the database, which returns the number of rows it wrote. It takes an array per column, by name:
 * `p_tier` for `tier`, and for a time `p_created_at_ms`.
 * @param limit name of one more argument, a bigint or null, that is no array.
 */
export function unnestCall<T extends PgTable, Omitted extends keyof T['$inferSelect'] & string = never>(
  name: string,
  table: T,
  omit: readonly Omitted[] = [],
  limit?: string,
): (db: Queryable, rows: readonly NewRow<T, Omitted>[], limit?: number | null) => Promise<number> {
  const parameters = parametersOf(table, omit);
  const named = parameters.map(
    ({ name: column, cast, isTime }, index) => `p_${column}${isTime ? '_ms' : ''} => $${index + 1}::${cast}`,
  );
  if (limit !== undefined) named.push(`${limit} => $${named.length + 1}::int8`);
  const text = `SELECT ${name}(${named.join(', ')})::int AS changed`;
  return async (db, rows, value = null) => {
    if (rows.length === 0) return 0;
    const values: unknown[] = arraysOf(parameters, rows);
    if (limit !== undefined) values.push(value);
    const result = await db.query<{ changed: number }>(text, values);
    return result.rows[0]?.changed ?? 0;
  };
}

function parametersOf(table: PgTable, omit: readonly string[]): Parameter[] {
  return Object.entries(getTableColumns(table))
    .filter(([key]) => !omit.includes(key))
    .map(([key, column]) => {
      const isTime = isEpochMs(column);
      // Milliseconds travel as float8, which holds Infinity (no end) and is exact to the microsecond until the year 2255.
      const type = isTime ? 'float8' : column.getSQLType();
      const element = elementOf(type);
      const cast = element === undefined ? `text[]::${type}[]` : `${type}[]`;
      return { key, name: column.name, isTime, cast, element: element ?? textElement };
    });
}

function arraysOf(parameters: readonly Parameter[], rows: readonly Readonly<Record<string, unknown>>[]): Buffer[] {
  const values: unknown[] = [];
  return parameters.map(({ key, element }) => {
    for (let index = 0; index < rows.length; index += 1) values[index] = rows[index]?.[key] ?? null;
    return binaryArray(element, values);
  });
}
