import type { Queryable } from './connection.ts';

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
