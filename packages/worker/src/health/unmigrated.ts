import { sqlState } from '@spillway/db';

/** What is to be done about a database without our tables. */
export const UNMIGRATED = 'the database is not migrated: run spillway migrate';

/** Names of ours, as they are in Postgres' messages. */
const OURS =
  /spillway|public\.(?:rate_limits_v2|circuit_breaker_events|system_metrics|record_metric)|"(?:rate_limits_v2|circuit_breaker_events|system_metrics)"/u;

/**
 * Whether Postgres says that a table, a column or a function of ours, or their schema, is not there. A table of the
 * application's that is missing is another fault.
 */
export function isUnmigrated(error: unknown): error is Error {
  // undefined_table, undefined_column, undefined_function, invalid_schema_name
  return ['42P01', '42703', '42883', '3F000'].includes(sqlState(error) ?? '') && OURS.test(String(error));
}
