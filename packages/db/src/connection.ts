import {
  type ClientBase,
  type PoolClient,
  type QueryConfig,
  type QueryResult,
  type QueryResultRow,
  Pool,
  type PoolConfig,
} from 'pg';
import { InvalidOptionError, wholeNumber } from './errors.ts';

/** Anything that runs one statement: a pool, a pool's client or a client. */
export interface Queryable {
  query<Row extends QueryResultRow>(statement: string | QueryConfig, values?: unknown[]): Promise<QueryResult<Row>>;
}

/**
 * One connection, for work that must stay on it: transactions, session locks. A `Pool` has no `escapeIdentifier`, so the
 * compiler refuses it here; on a pool, BEGIN and COMMIT would go to different connections.
 */
export type Connection = Queryable & Pick<ClientBase, 'escapeIdentifier'>;

/** Where connections come from; pg's `Pool` is one. */
export interface ConnectionSource {
  connect(): Promise<PoolClient>;
}

/**
 * Runs `work` on one connection of the pool and gives it back.
 *
 * After a failure the connection is closed instead of returned: it may be inside a transaction, hold a session lock
 * or still be executing. Rejects with what `work` rejected with, or with the pool's error when there is no connection.
 */
export async function withConnection<T>(
  pool: ConnectionSource,
  work: (connection: PoolClient) => Promise<T>,
): Promise<T> {
  const connection = await pool.connect();
  // The pool listens for errors of idle connections only. One that breaks while checked out emits 'error' besides
  // rejecting its query, and an unheard 'error' event ends the process.
  connection.on('error', ignoreRepeatedError);
  try {
    const result = await work(connection);
    connection.release();
    connection.off('error', ignoreRepeatedError);
    return result;
  } catch (error) {
    connection.release(true);
    throw error;
  }
}

/** The running query rejects with the same error, or the next one does. */
function ignoreRepeatedError(): void {}

/**
 * How far behind a server's data are, in ms: null for one that takes writes; on a replica that has replayed all that it received, and
 * receives more, 0; otherwise the age of the last transaction that it replayed, which is an upper bound. `Infinity`: it never
 * replayed one and receives none.
 */
export async function readBehindMs(db: Queryable): Promise<number | null> {
  const { rows } = await db.query<{ replica: boolean; behind_ms: number | null }>(
    `SELECT pg_catalog.pg_is_in_recovery() AS replica,
       CASE
         WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()
           AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver)
         THEN 0
         ELSE greatest(0, extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) * 1000)
       END::float8 AS behind_ms`,
  );
  const [found] = rows;
  if (found === undefined || !found.replica) return null;
  return found.behind_ms ?? Infinity;
}

/** The server at the other end, and whether Spillway's tables are there. */
export interface ServerState {
  /** Its clock, epoch ms. */
  readonly clockMs: number;
  /** Such as 160004 for 16.4. */
  readonly versionNumber: number;
  /** Such as `16.4`. */
  readonly version: string;
  /** Whether migrations were applied. */
  readonly migrated: boolean;
}

const QUERY = `
  SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS "clockMs",
         current_setting('server_version_num')::int AS "versionNumber", current_setting('server_version') AS version,
         EXISTS (SELECT FROM pg_class WHERE relname = 'migrations' AND relnamespace = to_regnamespace('spillway')) AS migrated`;

/** Asks the server for its clock and version, and for Spillway's tables. */
export async function readServer(db: Queryable): Promise<ServerState> {
  const { rows } = await db.query<{ [Key in keyof ServerState]: ServerState[Key] }>(QUERY);
  const [row] = rows;
  if (row === undefined) throw new Error('the server gave no row');
  return row;
}

/** The process that serves this connection; behind a pooler, one of those that may. */
export async function readBackendPid(db: Queryable): Promise<number | undefined> {
  const { rows } = await db.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid;
}

/**
 * Settings of a role or a database that change what a statement of ours means, or how a value of it is read: each as Postgres
 * has it by default. With `array_nulls` off, for instance, no row that has a null can be inserted. Each is one that any role may set.
 * `plpgsql.variable_conflict`, which only a superuser may, changes nothing: our functions have no name that it would decide about.
 */
const PINNED: Readonly<Record<string, string>> = {
  array_nulls: 'on',
  bytea_output: 'hex',
  datestyle: 'ISO, MDY',
  extra_float_digits: '1',
  intervalstyle: 'postgres',
  quote_all_identifiers: 'off',
  row_security: 'on',
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  'plpgsql.extra_errors': 'none',
};

/**
 * Sets those that differ. A server that no longer knows one has it as it should be. A role whose commits don't wait for the disk
 * waits for it here: rows that a crash took back would be in no outbox any more.
 */
function pin(isLocal: boolean): string {
  const values = Object.entries(PINNED).map(([name, value]) => `('${name}', '${value}')`);
  return `SELECT pg_catalog.set_config(name, value, ${String(isLocal)}) FROM (VALUES ${values.join(', ')}) AS pinned (name, value)
    WHERE pg_catalog.current_setting(name, true) OPERATOR(pg_catalog.<>) value
    UNION ALL SELECT pg_catalog.set_config('synchronous_commit', 'local', ${String(isLocal)})
    WHERE pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off'`;
}

/** Both in one round trip. */
const BEGIN = `BEGIN ISOLATION LEVEL READ COMMITTED; ${pin(true)}`;

/** Pins the settings, and the isolation of statements without a transaction, for as long as the connection lives. */
async function pinSession(connection: Queryable): Promise<void> {
  await connection.query(`${pin(false)}
    UNION ALL SELECT pg_catalog.set_config('default_transaction_isolation', 'read committed', false)
    WHERE pg_catalog.current_setting('default_transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'`);
}

/** Settings that hold until the end of the transaction, and therefore also behind a transaction pooler. */
export interface TransactionOptions {
  /** Longest wait for one lock, in milliseconds; then SQLSTATE 55P03. @default the session's setting */
  readonly lockTimeoutMs?: number;
  /** Longest run of one statement, in milliseconds; then SQLSTATE 57014. @default the session's setting */
  readonly statementTimeoutMs?: number;
  /** Time zone in which literals without an offset are read. @default the session's setting */
  readonly timeZone?: string;
  /**
   * `off`: COMMIT doesn't wait for the disk, so that locks go at once. A crash of Postgres may then undo the last
   * transactions, each of them whole. @default the session's setting, or `local` where that is `off`
   */
  readonly synchronousCommit?: 'off';
}

/**
 * Runs `work` between BEGIN and COMMIT; on any error rolls back and rejects with that error.
 * Must be given one connection that is not in a transaction already.
 */
export async function transaction<T>(
  connection: Connection,
  options: TransactionOptions,
  work: () => Promise<T>,
): Promise<T> {
  await connection.query(BEGIN);
  try {
    await applySettings(connection, options);
    const result = await work();
    await connection.query('COMMIT');
    return result;
  } catch (error) {
    // A broken connection can't roll back, and Postgres has done it already; the first error is the one that tells.
    await connection.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

async function applySettings(connection: Connection, options: TransactionOptions): Promise<void> {
  const settings = [
    ['lock_timeout', options.lockTimeoutMs],
    ['statement_timeout', options.statementTimeoutMs],
    ['timezone', options.timeZone],
    ['synchronous_commit', options.synchronousCommit],
  ].filter(([, value]) => value !== undefined);
  if (settings.length === 0) return;
  // set_config(…, true) is SET LOCAL with parameters; one round trip for all of them.
  await connection.query('SELECT set_config(name, value, true) FROM unnest($1::text[], $2::text[]) AS s(name, value)', [
    settings.map(([name]) => name),
    settings.map(([, value]) => String(value)),
  ]);
}

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
    // A pooler gives the connection to others after each transaction: there only transactions are pinned.
    // oxlint-disable-next-line typescript/no-misused-promises -- pg waits for it, which its types don't say
    ...(server === 'postgres' ? { onConnect: pinSession } : {}),
  };
}
