import { Pool, type PoolConfig } from 'pg';
import { InvalidOptionError, wholeNumber } from '../invalid-option-error.ts';

/** How a pool connects and how long it waits. */
export interface PoolOptions {
  /** `postgres://user:password@host:port/database?sslmode=…`. */
  readonly connectionString: string;
  /**
   * Called when an idle connection breaks (a restart of Postgres does that to all of them). The pool replaces it by itself;
   * log it. Required, because without a listener Node ends the process.
   */
  readonly onError: (error: Error) => void;
  /** Shown in pg_stat_activity. @default 'spillway' */
  readonly applicationName?: string;
  /** Most connections at once. @default 10 */
  readonly max?: number;
  /** Longest run of one statement, in milliseconds; then SQLSTATE 57014. @default 30_000 */
  readonly statementTimeoutMs?: number;
  /** Longest wait for a free or new connection, in milliseconds. @default 5_000 */
  readonly connectTimeoutMs?: number;
  /** A connection unused for so many milliseconds is closed. @default 30_000 */
  readonly idleTimeoutMs?: number;
  /**
   * What is at the other end. PgBouncer in transaction mode refuses connections that ask for a `statement_timeout`, so behind
   * a pooler only the client's own timer bounds a statement; it gives up on the connection too.
   * @default 'postgres'
   */
  readonly server?: 'postgres' | 'pgbouncer';
}

/** The client's timer fires after the server's, whose error says more. */
const CLIENT_TIMEOUT_MARGIN_MS = 1_000;

/**
 * Makes a pool that survives a restart of Postgres and works through PgBouncer in transaction mode: no named statements,
 * no SET, nothing that outlives a transaction. Opens no connection yet. End it with `pool.end()`.
 *
 * @throws {InvalidOptionError} for an option that can't work.
 */
export function createPool(options: PoolOptions): Pool {
  const pool = new Pool(poolConfig(options));
  pool.on('error', options.onError);
  return pool;
}

function poolConfig(options: PoolOptions): PoolConfig {
  const { connectionString, onError, applicationName = 'spillway', server = 'postgres' } = options;
  if (!/^postgres(ql)?:\/\/./u.test(connectionString)) {
    // The value may hold a password: never repeat it.
    throw new InvalidOptionError('connectionString', '(hidden)', 'a postgres:// URL');
  }
  if (typeof onError !== 'function') throw new InvalidOptionError('onError', onError, 'a function');
  if (applicationName === '') throw new InvalidOptionError('applicationName', applicationName, 'a name');
  if (server !== 'postgres' && server !== 'pgbouncer') {
    throw new InvalidOptionError('server', server, '"postgres" or "pgbouncer"');
  }
  const statementTimeoutMs = wholeNumber('statementTimeoutMs', options.statementTimeoutMs ?? 30_000, 1);
  const atServer = server === 'postgres' ? { statement_timeout: statementTimeoutMs } : {};
  return {
    ...atServer,
    connectionString,
    application_name: applicationName,
    query_timeout: statementTimeoutMs + (server === 'postgres' ? CLIENT_TIMEOUT_MARGIN_MS : 0),
    max: wholeNumber('max', options.max ?? 10, 1),
    connectionTimeoutMillis: wholeNumber('connectTimeoutMs', options.connectTimeoutMs ?? 5_000, 1),
    idleTimeoutMillis: wholeNumber('idleTimeoutMs', options.idleTimeoutMs ?? 30_000, 1),
    keepAlive: true,
  };
}
