import type { Connection } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';
import { type CompleteArchiveTable, isOld } from './archive-table.ts';
import type { Preflight } from './preflight.ts';

/**
 * The first day of each month (UTC) that has rows to move, oldest first. Jumps from month to month along the timestamp
 * index: one old row of 1970 costs one step and not a partition for each month since.
 */
export async function monthsToArchive(
  connection: Connection,
  table: CompleteArchiveTable,
  { from, timestampType }: Preflight,
  cutoff: string,
): Promise<Date[]> {
  const at = connection.escapeIdentifier(table.timestampColumn);
  const oldest = `
    SELECT date_trunc('month', min(${at})::timestamp) AS month
    FROM ${from}
    WHERE ${isOld(at, timestampType, table)}`;
  return transaction(connection, { timeZone: 'UTC' }, async () => {
    const { rows } = await connection.query<{ ms: number }>(
      `WITH RECURSIVE months AS (
         ${oldest}
         UNION ALL
         SELECT (${oldest} AND ${at} >= (months.month + interval '1 month')::${timestampType})
         FROM months WHERE months.month IS NOT NULL
       )
       SELECT (extract(epoch FROM month) * 1000)::float8 AS ms FROM months WHERE month IS NOT NULL ORDER BY 1`,
      [cutoff],
    );
    return rows.map(({ ms }) => new Date(ms));
  });
}
