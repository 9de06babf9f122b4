import { type GuardedLogger, guardLogger, type LogLine } from '@spillway/runtime';
import { sqlState } from '@spillway/db';

/**
 * What the worker needs of a logger; pino's fits, and so does a child of it. Errors are given to it as facts, without
 * arguments of commands and values of rows, and a fault that repeats is logged a few times in ten seconds.
 */
export type WorkerLogger = GuardedLogger;

/** Loggers that were told that the database is not migrated. */
const told = new WeakSet<object>();

/**
 * A caller's logger as the worker uses it, see `guardLogger`. In a database without our tables everything fails, each
 * part in its own words: that is said once, with what to do about it.
 */
export function workerLogger(logger: WorkerLogger): WorkerLogger {
  const guarded = guardLogger(logger);
  const line =
    (level: 'warn' | 'error'): LogLine =>
    (facts: object | string, message?: string): void => {
      if (typeof facts === 'string') return guarded[level](facts);
      if (!('err' in facts && isUnmigrated(facts.err))) return guarded[level](facts, message);
      if (told.has(logger)) return undefined;
      told.add(logger);
      return guarded.error(`worker: ${UNMIGRATED}`);
    };
  return { debug: guarded.debug, info: guarded.info, warn: line('warn'), error: line('error') };
}

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
