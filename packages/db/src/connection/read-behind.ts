import type { Queryable } from './connection.ts';

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
