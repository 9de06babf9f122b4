import type { Connection } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';
import { sqlState } from '../classify-db-error.ts';
import type { CleanupRule } from './cleanup-rule.ts';

/** Deletes and counts the old rows of one table. */
export interface Cleaner {
  /** Deletes up to `size` of the oldest rows and returns how many; call it inside a transaction. */
  deleteBatch(size: number): Promise<number>;
  /** How many there are; null when counting takes too long. */
  count(): Promise<number | null>;
}

/** Counting a very large table isn't worth waiting for, in milliseconds. */
const PATIENCE_MS = 10_000;

/**
 * Makes the cleaner of a table that isn't partitioned. For rows with an outbox identity the highest number deleted from each
 * outbox is written to `audit_watermarks` by the same statement: a number that is absent below it was cleaned, not lost.
 */
export function prepareCleaner(
  connection: Connection,
  { table, timestampColumn, where = 'true', sequenced = false }: CleanupRule,
  cutoff: string,
): Cleaner {
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const name = `${quote(table.schema)}.${quote(table.name)}`;
  const old = `${quote(timestampColumn)} < $1::timestamptz AND (${where})`;
  const text = `
    WITH gone AS (
      DELETE FROM ONLY ${name}
      WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM ONLY ${name} WHERE ${old} ORDER BY ${quote(timestampColumn)} LIMIT $2
        FOR UPDATE SKIP LOCKED))
      RETURNING ${sequenced ? 'outbox_shard, outbox_epoch, outbox_seq' : '1'}
    )${sequenced ? `, marks AS (${watermarksOf('gone')})` : ''}
    SELECT count(*)::int AS deleted FROM gone`;
  return {
    async deleteBatch(size) {
      const { rows } = await connection.query<{ deleted: number }>(text, [cutoff, size]);
      return rows[0]?.deleted ?? 0;
    },
    async count() {
      try {
        return await transaction(connection, { statementTimeoutMs: PATIENCE_MS }, async () => {
          const { rows } = await connection.query<{ rows: number }>(
            `SELECT count(*)::float8 AS rows FROM ONLY ${name} WHERE ${old}`,
            [cutoff],
          );
          return rows[0]?.rows ?? 0;
        });
      } catch (error) {
        if (sqlState(error) === '57014') return null;
        throw error;
      }
    },
  };
}

/**
 * SQL that writes the highest outbox number of the rows of `source` into `audit_watermarks`. In the order of the key, so that two
 * cleaners wait for each other instead of deadlocking.
 */
export function watermarksOf(source: string): string {
  return `
      INSERT INTO spillway.audit_watermarks AS mark (shard, epoch, through_seq)
      SELECT outbox_shard, outbox_epoch, max(outbox_seq) FROM ${source}
      WHERE outbox_shard IS NOT NULL AND outbox_epoch IS NOT NULL AND outbox_seq > 0
      GROUP BY 1, 2 ORDER BY 1, 2
      ON CONFLICT (shard, epoch) DO UPDATE
      SET through_seq = excluded.through_seq, updated_at = now()
      WHERE mark.through_seq < excluded.through_seq`;
}
