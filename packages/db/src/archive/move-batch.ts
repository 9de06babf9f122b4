import type { Connection } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';
import type { TableName } from '../partitions/partitioned-table.ts';
import { ArchiveError } from './archive-error.ts';
import type { CompleteArchiveTable } from './archive-table.ts';
import type { Preflight } from './preflight.ts';

/** What one transaction moved. */
export interface Batch {
  /** Rows; as many were stored as deleted. */
  readonly moved: number;
  /** The newest timestamp among them, as text that casts back exactly; null when nothing was moved. */
  readonly last: string | null;
  /** Whole transaction, in milliseconds. */
  readonly durationMs: number;
}

/** Moves one batch of rows older than the cutoff. */
export type MoveBatch = (options: {
  /** Timestamp to start from, included; null for the oldest row. */
  readonly from: string | null;
  /** Runs inside the transaction, with the number of rows. */
  readonly record?: (moved: number) => Promise<void>;
}) => Promise<Batch>;

/** A batch waits so long for a lock on the table (not on rows: those are skipped), in milliseconds. */
const LOCK_TIMEOUT_MS = 1_000;

/** No batch may run longer, in milliseconds. */
const STATEMENT_TIMEOUT_MS = 30_000;

/**
 * Makes the mover of a table: pick, delete and store in one statement, so that a row is in exactly one of the two tables
 * whenever anything dies.
 *
 * Rows that somebody has locked are skipped, and picked later. Rows are found by ctid, which can't change once they are
 * locked; ONLY, because a child table's ctid means another row. There is no ON CONFLICT: a row that the target refuses
 * must not be deleted, and a trigger or rule there that swallows rows shows in the counts.
 */
export function prepareMover(
  connection: Connection,
  table: CompleteArchiveTable,
  { columns, timestampType }: Preflight,
  cutoff: string,
): MoveBatch {
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const qualified = ({ schema, name }: TableName): string => `${quote(schema)}.${quote(name)}`;
  const source = qualified(table.source);
  const at = quote(table.timestampColumn);
  const list = columns.map((column) => quote(column)).join(', ');
  const text = `
    WITH moved AS (
      DELETE FROM ONLY ${source}
      WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM ONLY ${source}
        WHERE ${at} < ($1::timestamptz)::${timestampType}
          AND ${at} >= coalesce($2::${timestampType}, '-infinity') AND ${at} > '-infinity'
          AND (${table.where})
        ORDER BY ${at}
        LIMIT ${table.batchSize}
        FOR UPDATE SKIP LOCKED))
      RETURNING ${list}
    ), stored AS (
      INSERT INTO ${qualified(table.target)} (${list}) OVERRIDING SYSTEM VALUE
      SELECT ${list} FROM moved
      RETURNING 1
    )
    SELECT (SELECT count(*)::int FROM moved) AS deleted,
           (SELECT count(*)::int FROM stored) AS archived,
           (SELECT max(${at})::text FROM moved) AS last`;
  const settings = { lockTimeoutMs: LOCK_TIMEOUT_MS, statementTimeoutMs: STATEMENT_TIMEOUT_MS, timeZone: 'UTC' };
  return async ({ from, record }) => {
    const started = performance.now();
    const counted = await transaction(connection, settings, async () => {
      const { rows } = await connection.query<{ deleted: number; archived: number; last: string | null }>(text, [
        cutoff,
        from,
      ]);
      const { deleted, archived, last } = rows[0] ?? { deleted: 0, archived: 0, last: null };
      if (deleted !== archived) {
        throw new ArchiveError('count_mismatch', `${table.source.schema}.${table.source.name}`, [
          `a batch deleted ${deleted} rows but stored ${archived}: does a trigger or rule of the target drop rows?`,
        ]);
      }
      if (deleted > 0) await record?.(deleted);
      return { moved: deleted, last };
    });
    return { ...counted, durationMs: performance.now() - started };
  };
}
