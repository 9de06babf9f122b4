import type { Connection } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';
import { sqlState } from '../sql-state.ts';
import type { CompleteArchiveTable } from './archive-table.ts';

/** Counting a very large table isn't worth waiting for, in milliseconds. */
const PATIENCE_MS = 10_000;

/** How many rows there are to move; null when counting takes too long. */
export async function countToArchive(
  connection: Connection,
  { source, timestampColumn, where }: CompleteArchiveTable,
  timestampType: string,
  cutoff: string,
): Promise<number | null> {
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const at = quote(timestampColumn);
  try {
    return await transaction(connection, { statementTimeoutMs: PATIENCE_MS, timeZone: 'UTC' }, async () => {
      const { rows } = await connection.query<{ rows: number }>(
        `SELECT count(*)::float8 AS rows FROM ONLY ${quote(source.schema)}.${quote(source.name)}
         WHERE ${at} < ($1::timestamptz)::${timestampType} AND ${at} > '-infinity' AND (${where})`,
        [cutoff],
      );
      return rows[0]?.rows ?? 0;
    });
  } catch (error) {
    if (sqlState(error) === '57014') return null;
    throw error;
  }
}
