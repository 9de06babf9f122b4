import type { CleanupRule, CleanUpOptions, CleanUpReport } from './cleanup-rule.ts';
import { type Connection, transaction } from '../connection.ts';
import { sqlState } from '../errors.ts';
import {
  PartitionError,
  readPartitionedTable,
  type TableName,
  listPartitions,
} from '../partitions/partitioned-table.ts';

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
function watermarksOf(source: string): string {
  return `
      INSERT INTO spillway.audit_watermarks AS mark (shard, epoch, through_seq)
      SELECT outbox_shard, outbox_epoch, max(outbox_seq) FROM ${source}
      WHERE outbox_shard IS NOT NULL AND outbox_epoch IS NOT NULL AND outbox_seq > 0
      GROUP BY 1, 2 ORDER BY 1, 2
      ON CONFLICT (shard, epoch) DO UPDATE
      SET through_seq = excluded.through_seq, updated_at = now()
      WHERE mark.through_seq < excluded.through_seq`;
}

/** The comment of a partition that is on its way out. Its table may be left behind detached when the process dies. */
const MARK = 'spillway: rows are too old, to be dropped';

/**
 * What {@link cleanUpRows} does to a partitioned table: partitions whose rows are all older than the cutoff are dropped, so that
 * rows stay up to one partition's width longer. DETACH CONCURRENTLY keeps neither readers nor writers waiting; what it leaves is
 * a separate table, whose DROP takes no lock that others wait for.
 * @throws {PartitionError} when the table isn't partitioned by range on the rule's column.
 */
export async function dropOldPartitions(
  connection: Connection,
  rule: CleanupRule,
  cutoff: string,
  options: CleanUpOptions,
): Promise<CleanUpReport> {
  const started = performance.now();
  const { table, timestampColumn } = rule;
  const { column } = await readPartitionedTable(connection, table);
  if (column !== timestampColumn) {
    const text = `is partitioned by ${column}, so that rows can't be dropped by the age of ${timestampColumn}`;
    throw new PartitionError('unsupported_key', `${table.schema}.${table.name}`, text);
  }
  const cutoffMs = Date.parse(cutoff);
  const old = (await listPartitions(connection, table)).filter(({ toMs }) => toMs <= cutoffMs);
  const left = await leftBehind(connection);
  const tally = { deleted: 0, batches: 0, longestBatchMs: 0 };
  const end = (stopped: CleanUpReport['stopped']): CleanUpReport => ({ ...tally, cutoff: new Date(cutoff), stopped });
  const deadline = started + (options.timeBudgetMs ?? Number.POSITIVE_INFINITY);
  const steps = [
    ...left.map((name) => ({ name, detach: undefined })),
    ...old.map((each) => ({ name: each, detach: each.detaching ? 'FINALIZE' : 'CONCURRENTLY' })),
  ];
  for (const { name, detach } of steps) {
    if (options.signal?.aborted === true) return end('aborted');
    if (performance.now() >= deadline) return end('time_budget');
    if (options.dryRun === true) {
      tally.deleted += await count(connection, name);
      continue;
    }
    // Before the rows are gone from the table: a reconcile meanwhile must not miss them.
    const rows = rule.sequenced === true ? await noteWatermarks(connection, name) : await count(connection, name);
    if (detach !== undefined) {
      await connection.query(`COMMENT ON TABLE ${quoted(connection, name)} IS '${MARK}'`);
      await connection.query(
        `ALTER TABLE ${quoted(connection, table)} DETACH PARTITION ${quoted(connection, name)} ${detach}`,
      );
    }
    const began = performance.now();
    await transaction(connection, {}, async () => {
      await options.record?.(rows);
      await connection.query(`DROP TABLE ${quoted(connection, name)}`);
    });
    tally.deleted += rows;
    tally.batches += 1;
    tally.longestBatchMs = Math.max(tally.longestBatchMs, Math.round(performance.now() - began));
    options.onProgress?.({ done: tally.batches, total: steps.length });
  }
  return end('done');
}

/** Tables that an earlier run detached and did not live to drop. */
async function leftBehind(connection: Connection): Promise<TableName[]> {
  const { rows } = await connection.query<{ schema: string; name: string }>(
    `SELECT n.nspname AS schema, c.relname AS name
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND NOT c.relispartition AND obj_description(c.oid, 'pg_class') = $1 ORDER BY 1, 2`,
    [MARK],
  );
  return rows;
}

async function count(connection: Connection, name: TableName): Promise<number> {
  const { rows } = await connection.query<{ rows: number }>(
    `SELECT count(*)::float8 AS rows FROM ${quoted(connection, name)}`,
  );
  return rows[0]?.rows ?? 0;
}

/** Writes the highest number of each outbox into `audit_watermarks`; gives the number of rows. */
async function noteWatermarks(connection: Connection, name: TableName): Promise<number> {
  const { rows } = await connection.query<{ rows: number }>(`
    WITH sums AS (
      SELECT outbox_shard, outbox_epoch, max(outbox_seq) AS outbox_seq, count(*) AS rows
      FROM ${quoted(connection, name)} GROUP BY 1, 2
    ), marks AS (${watermarksOf('sums')})
    SELECT coalesce(sum(rows), 0)::float8 AS rows FROM sums`);
  return rows[0]?.rows ?? 0;
}

function quoted(connection: Connection, { schema, name }: TableName): string {
  return `${connection.escapeIdentifier(schema)}.${connection.escapeIdentifier(name)}`;
}
