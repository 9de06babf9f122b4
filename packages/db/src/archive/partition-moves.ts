import type { Queryable } from '../connection/connection.ts';
import type { TableName } from '../partitions/partitioned-table.ts';
import type { CompleteArchiveTable } from './archive-table.ts';

/** A partition on its way from a live table into its archive. */
export interface PartitionMove extends TableName {
  /** Its bounds in the live table, `FOR VALUES FROM (…) TO (…)`. */
  readonly bound: string;
}

/** Where a partition is: `detaching` is half way out of its live table, `loose` belongs to none, `elsewhere` is not ours to touch. */
export type Place = 'attached' | 'detaching' | 'loose' | 'elsewhere';

/** Remembers that a partition is about to be detached. Finds it there after a crash. */
export async function beginMove(db: Queryable, table: CompleteArchiveTable, move: PartitionMove): Promise<void> {
  const { source, target } = table;
  await db.query(
    `INSERT INTO spillway.partition_moves
       (partition_schema, partition_name, source_schema, source_name, target_schema, target_name, bound)
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
    [move.schema, move.name, source.schema, source.name, target.schema, target.name, move.bound],
  );
}

/** Forgets it; false when another process did, and moved it. */
export async function endMove(db: Queryable, { schema, name }: TableName): Promise<boolean> {
  const { rowCount } = await db.query(
    'DELETE FROM spillway.partition_moves WHERE partition_schema = $1 AND partition_name = $2',
    [schema, name],
  );
  return rowCount === 1;
}

/** What a crash left on its way out of a live table, oldest first. */
export async function unfinishedMoves(
  db: Queryable,
  { source, target }: CompleteArchiveTable,
): Promise<PartitionMove[]> {
  const { rows } = await db.query<PartitionMove>(
    `SELECT partition_schema AS schema, partition_name AS name, bound FROM spillway.partition_moves
     WHERE source_schema = $1 AND source_name = $2 AND target_schema = $3 AND target_name = $4 ORDER BY begun_at`,
    [source.schema, source.name, target.schema, target.name],
  );
  return rows;
}

/** Where a partition is now; undefined when there is no such table. */
export async function readPlace(db: Queryable, partition: TableName, source: TableName): Promise<Place | undefined> {
  const { rows } = await db.query<{ place: Place }>(
    `SELECT CASE WHEN i.inhparent IS NULL THEN 'loose'
              WHEN s.relname IS DISTINCT FROM $4 OR sn.nspname IS DISTINCT FROM $3 THEN 'elsewhere'
              WHEN i.inhdetachpending THEN 'detaching'
              ELSE 'attached' END AS place
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
     LEFT JOIN pg_class s ON s.oid = i.inhparent LEFT JOIN pg_namespace sn ON sn.oid = s.relnamespace
     WHERE n.nspname = $1 AND c.relname = $2`,
    [partition.schema, partition.name, source.schema, source.name],
  );
  return rows[0]?.place;
}
