import type { Connection } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';
import { sqlState } from '../sql-state.ts';
import { type CompleteArchiveTable, isOld } from './archive-table.ts';

/** Counting a very large table isn't worth waiting for, in milliseconds. */
const PATIENCE_MS = 10_000;

/** How many rows are dated before year 1, up to a hundred. They stay where they are. */
export async function countBeforeYearOne(connection: Connection, table: CompleteArchiveTable): Promise<number> {
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const at = quote(table.timestampColumn);
  const { rows } = await connection.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM (
       SELECT FROM ONLY ${quote(table.source.schema)}.${quote(table.source.name)}
       WHERE ${at} < '0001-01-01' AND ${at} > '-infinity' AND (${table.where}) LIMIT 100) AS old`,
  );
  return rows[0]?.n ?? 0;
}

/** How many rows there are to move; null when counting takes too long. */
export async function countToArchive(
  connection: Connection,
  table: CompleteArchiveTable,
  timestampType: string,
  cutoff: string,
): Promise<number | null> {
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const { source } = table;
  try {
    return await transaction(connection, { statementTimeoutMs: PATIENCE_MS, timeZone: 'UTC' }, async () => {
      const { rows } = await connection.query<{ rows: number }>(
        `SELECT count(*)::float8 AS rows FROM ONLY ${quote(source.schema)}.${quote(source.name)}
         WHERE ${isOld(quote(table.timestampColumn), timestampType, table)}`,
        [cutoff],
      );
      return rows[0]?.rows ?? 0;
    });
  } catch (error) {
    if (sqlState(error) === '57014') return null;
    throw error;
  }
}
