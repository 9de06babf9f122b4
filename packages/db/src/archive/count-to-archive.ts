import type { Connection } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';
import { sqlState } from '../sql-state.ts';
import { type CompleteArchiveTable, isOld } from './archive-table.ts';
import type { Preflight } from './preflight.ts';

/** Counting a very large table isn't worth waiting for, in milliseconds. */
const PATIENCE_MS = 10_000;

/** How many rows are dated before year 1, up to a hundred. They stay where they are. */
export async function countBeforeYearOne(
  connection: Connection,
  table: CompleteArchiveTable,
  { from }: Preflight,
): Promise<number> {
  const at = connection.escapeIdentifier(table.timestampColumn);
  const { rows } = await connection.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM (
       SELECT FROM ${from}
       WHERE ${at} < '0001-01-01' AND ${at} > '-infinity' AND (${table.where}) LIMIT 100) AS old`,
  );
  return rows[0]?.n ?? 0;
}

/** How many rows there are to move; null when counting takes too long. */
export async function countToArchive(
  connection: Connection,
  table: CompleteArchiveTable,
  { from, timestampType }: Preflight,
  cutoff: string,
): Promise<number | null> {
  const at = connection.escapeIdentifier(table.timestampColumn);
  try {
    return await transaction(connection, { statementTimeoutMs: PATIENCE_MS, timeZone: 'UTC' }, async () => {
      const { rows } = await connection.query<{ rows: number }>(
        `SELECT count(*)::float8 AS rows FROM ${from} WHERE ${isOld(at, timestampType, table)}`,
        [cutoff],
      );
      return rows[0]?.rows ?? 0;
    });
  } catch (error) {
    if (sqlState(error) === '57014') return null;
    throw error;
  }
}
