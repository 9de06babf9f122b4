import type { ClientBase, PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';

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
