import { sqlState } from '@spillway/db';

/** What is to be done about a database without our tables. */
export const UNMIGRATED = 'the database is not migrated: run spillway migrate';

/**
 * Whether Postgres says that a table or a function of ours, or their schema, is not there. A table of the application's that is
 * missing is another fault.
 */
export function isUnmigrated(error: unknown): error is Error {
  // undefined_table, undefined_function, invalid_schema_name
  return ['42P01', '42883', '3F000'].includes(sqlState(error) ?? '') && /spillway/u.test(String(error));
}
