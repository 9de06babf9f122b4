import type { Connection } from '../connection/connection.ts';
import { transaction } from '../connection/transaction.ts';
import { listPartitions } from '../partitions/list-partitions.ts';
import { PartitionError, readPartitionedTable, type TableName } from '../partitions/partitioned-table.ts';
import type { CleanUpOptions, CleanUpReport, CleanupRule } from './cleanup-rule.ts';
import { watermarksOf } from './delete-batch.ts';

/** The comment of a partition that is on its way out. Its table may be left behind detached when the process dies. */
const MARK = 'spillway: rows are too old, to be dropped';

/**
 * What {@link cleanUpRows} does to a partitioned table: partitions whose rows are all older than the cutoff are dropped, so that
 * rows stay up to one partition's width longer. DETACH CONCURRENTLY keeps neither readers nor writers waiting; what it leaves is
 * a table by itself, whose DROP concerns nobody.
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
