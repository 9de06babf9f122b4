import { type Column, DrizzleQueryError, getTableColumns, is, type SQL, sql, type Table } from 'drizzle-orm';
import { type NodePgClient, NodePgDatabase, NodePgSession } from 'drizzle-orm/node-postgres';
import { PgCustomColumn, PgDialect, PgJsonb } from 'drizzle-orm/pg-core';
import type { Queryable } from '../connection.ts';

const dialect = new PgDialect();

/**
 * Drizzle's query builder over a pool, a client, or anything else that runs one statement. Statements are unnamed, so it works
 * behind a transaction pooler. Rejects with pg's own error.
 */
export function typed(db: Queryable): NodePgDatabase {
  return new NodePgDatabase(dialect, new Session(clientOf(db), dialect, undefined), undefined);
}

/** Drizzle asks for all of pg's client, and uses nothing but its `query`: transactions are ours. */
function clientOf(db: Queryable): NodePgClient;
function clientOf(db: unknown): unknown {
  return db;
}

/** Drizzle wraps an error of pg into one whose message holds the statement's parameters: subjects, and hashes of secrets. */
class Session extends NodePgSession<Record<string, never>, Record<string, never>> {
  override prepareQuery: NodePgSession<Record<string, never>, Record<string, never>>['prepareQuery'] = (...query) => {
    const prepared = super.prepareQuery(...query);
    const execute = prepared.execute.bind(prepared);
    prepared.execute = async (values) => {
      try {
        return await execute(values);
      } catch (error) {
        throw error instanceof DrizzleQueryError ? (error.cause ?? error) : error;
      }
    };
    return prepared;
  };
}

/**
 * The columns of a table, to be selected or returned. Times are computed by Postgres, whatever its DateStyle; float8 is exact for
 * milliseconds with three decimals, all that a timestamptz has. JSON is what pg read: drizzle would read a text in it again as JSON.
 */
export function columnsOf<T extends Table>(table: T): T['_']['columns'] {
  const fields = Object.entries(getTableColumns(table)).map(([key, column]) => [key, readable(column)]);
  return Object.fromEntries(fields);
}

function readable(column: Column): unknown {
  if (isEpochMs(column)) return sql`(extract(epoch from ${column}) * 1000)::float8`.mapWith(Number);
  return is(column, PgJsonb) ? sql`${column}`.mapWith((value: unknown) => value) : column;
}

/** Whether a column is a time that travels as epoch milliseconds. */
export function isEpochMs(column: Column): boolean {
  return is(column, PgCustomColumn) && column.getSQLType() === 'timestamp with time zone';
}

/** Whether a column is one of these values, as one parameter whatever their number; drizzle's `inArray` has one a value. */
export function anyOf(column: Column, values: readonly string[]): SQL {
  return sql`${column} = any(${sql.param(values)}::${sql.raw(column.getSQLType())}[])`;
}

/** The value that an insert brought, in its `ON CONFLICT DO UPDATE`. */
export function excluded(column: Column): SQL {
  return sql`excluded.${sql.identifier(column.name)}`;
}

/** The name of a column alone, as lists of columns and assignments want it. */
export function bare(column: Column): SQL {
  return sql`${sql.identifier(column.name)}`;
}

/** Postgres' clock, at the begin of the transaction. */
export const now: SQL = sql`now()`;

/** A moment so many milliseconds before {@link now}. */
export function ago(ms: number): SQL {
  return sql`now() - ${ms}::float8 * interval '1 millisecond'`;
}

/**
 * Runs SQL that drizzle's builder can't say, whose tables and columns are named through the schema: sql`… ${table.column} …`.
 * The rows are what the caller says they are.
 */
export async function read<Row extends object>(db: Queryable, query: SQL): Promise<Row[]> {
  const { sql: text, params } = dialect.sqlToQuery(query);
  const { rows } = await db.query<{ [Key in keyof Row]: Row[Key] }>(text, params);
  return rows;
}
