import { type GuardedLogger, guardLogger, type LogLine } from '@spillway/runtime';
import { isUnmigrated, UNMIGRATED } from './health/unmigrated.ts';

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
