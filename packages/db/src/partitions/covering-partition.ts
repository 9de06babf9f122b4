import type { Connection } from '../connection/connection.ts';
import type { Period } from './period.ts';
import type { PartitionedTable } from './partitioned-table.ts';

/**
 * A partition's bounds exist only as text, FOR VALUES FROM ('…') TO ('…'), printed in the session's time zone and date
 * style. Casting it back in the same session is exact whatever these are.
 */
const QUERY = `
  WITH bounds AS (
    SELECT c.relname AS name,
           regexp_match(
             pg_get_expr(c.relpartbound, c.oid),
             'FROM [(](MINVALUE|''[^'']*'')[)] TO [(](MAXVALUE|''[^'']*'')[)]'
           ) AS bound
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = $1
  ), ranges AS (
    SELECT name,
           CASE bound[1] WHEN 'MINVALUE' THEN '-infinity' ELSE trim(BOTH '''' FROM bound[1]) END::timestamptz AS low,
           CASE bound[2] WHEN 'MAXVALUE' THEN 'infinity' ELSE trim(BOTH '''' FROM bound[2]) END::timestamptz AS high
    FROM bounds
    WHERE bound IS NOT NULL
  )
  SELECT name FROM ranges WHERE low <= $2::timestamptz AND high >= $3::timestamptz`;

/**
 * The partition that holds the whole period, or null. It need not be ours: a yearly partition covers its months too.
 * Run it with the time zone UTC, in which bounds of type timestamp and date are meant.
 */
export async function findCoveringPartition(
  connection: Connection,
  table: PartitionedTable,
  period: Period,
): Promise<string | null> {
  const { rows } = await connection.query<{ name: string }>(QUERY, [table.oid, period.from, period.to]);
  return rows[0]?.name ?? null;
}
