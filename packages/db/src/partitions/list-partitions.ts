import type { Connection } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';
import { type PartitionedTable, readPartitionedTable, type TableName } from './partitioned-table.ts';

/** A partition and what it holds. */
export interface Partition {
  /** In the parent's schema or another one. */
  readonly schema: string;
  readonly name: string;
  /** First moment, included, in epoch milliseconds; -Infinity for MINVALUE. */
  readonly fromMs: number;
  /** First moment after, in epoch milliseconds; Infinity for MAXVALUE. */
  readonly toMs: number;
  /** A DETACH CONCURRENTLY of it began and was interrupted; it must be finished first. */
  readonly detaching: boolean;
}

/** The bounds are text in the session's time zone; UTC is what bounds of type timestamp and date are meant in. */
const QUERY = `
  WITH bounds AS (
    SELECT n.nspname AS schema, c.relname AS name, i.inhdetachpending AS detaching,
           regexp_match(
             pg_get_expr(c.relpartbound, c.oid),
             'FROM [(](MINVALUE|''[^'']*'')[)] TO [(](MAXVALUE|''[^'']*'')[)]'
           ) AS bound
    FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.inhparent = $1
  )
  SELECT schema, name, detaching,
         CASE bound[1] WHEN 'MINVALUE' THEN '-Infinity'::float8
           ELSE (extract(epoch FROM trim(BOTH '''' FROM bound[1])::timestamptz) * 1000)::float8 END AS "fromMs",
         CASE bound[2] WHEN 'MAXVALUE' THEN 'Infinity'::float8
           ELSE (extract(epoch FROM trim(BOTH '''' FROM bound[2])::timestamptz) * 1000)::float8 END AS "toMs"
  FROM bounds
  WHERE bound IS NOT NULL
  ORDER BY "toMs", name`;

/**
 * The partitions of a table, oldest first; a DEFAULT partition is left out.
 * @throws {PartitionError} when the table isn't partitioned by range on one column of time.
 */
export async function listPartitions(connection: Connection, name: TableName): Promise<Partition[]> {
  const table: PartitionedTable = await readPartitionedTable(connection, name);
  return transaction(connection, { timeZone: 'UTC' }, async () => {
    const { rows } = await connection.query<{ [Key in keyof Partition]: Partition[Key] }>(QUERY, [table.oid]);
    return rows;
  });
}

/**
 * How many months after the one of `nowMs` the table has without a hole; -1 when the present one is missing. A partition that
 * reaches to MAXVALUE counts as 120 months.
 */
export function monthsReady(partitions: readonly Partition[], nowMs: number): number {
  const now = new Date(nowMs);
  for (let ahead = 0; ahead <= 120; ahead += 1) {
    const from = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead, 1);
    const to = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + ahead + 1, 1);
    const covered = partitions.some((each) => !each.detaching && each.fromMs <= from && each.toMs >= to);
    if (!covered) return ahead - 1;
  }
  return 120;
}
