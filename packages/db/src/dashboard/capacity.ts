import { sql } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { read } from '../query/typed.ts';
import { apiCallLogs } from '../schema/api-call-logs.ts';
import { generations } from '../schema/generations.ts';

/** The guide's three capacity figures, as they are now. */
export interface Capacity {
  /** Users with a logged call in the last five minutes (`api_call_logs.user_id`), among the newest 250,000 calls. */
  readonly users: number;
  /** Rows of `generations` made in the last hour. */
  readonly generationsPerHour: number;
  /** Connections to this database. */
  readonly connections: number;
  /** What the server allows, `max_connections`. */
  readonly maxConnections: number;
}

const QUERY = sql`
  SELECT (SELECT count(DISTINCT subject) FROM (
            SELECT ${apiCallLogs.userId} AS subject FROM ${apiCallLogs}
            WHERE ${apiCallLogs.createdAt} > now() - interval '5 minutes'
            ORDER BY ${apiCallLogs.createdAt} DESC LIMIT 250000) AS newest)::float8 AS users,
         (SELECT count(*) FROM ${generations}
          WHERE ${generations.createdAt} > now() - interval '1 hour')::float8 AS "generationsPerHour",
         (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())::int AS connections,
         current_setting('max_connections')::int AS "maxConnections"`;

/** Reads them. An application's own tables of other columns reject with pg's error. */
export async function readCapacity(db: Queryable): Promise<Capacity> {
  const [row] = await read<Capacity>(db, QUERY);
  if (row === undefined) throw new Error('the query for the capacity gave no row');
  return row;
}
