import { and, asc, eq } from 'drizzle-orm';
import type { TableName } from '../partitions/partitioned-table.ts';
import { typed } from '../query/typed.ts';
import { partitionMoves } from '../schema/job-runs.ts';
import type { CompleteArchiveTable } from './archive-table.ts';
import type { Queryable } from '../connection.ts';

/** A partition on its way from a live table into its archive. */
export interface PartitionMove extends TableName {
  /** Its bounds in the live table, `FOR VALUES FROM (…) TO (…)`. */
  readonly bound: string;
}

/** Where a partition is: `detaching` is half way out of its live table, `loose` belongs to none, `elsewhere` is not ours to touch. */
export type Place = 'attached' | 'detaching' | 'loose' | 'elsewhere';

const moves = partitionMoves;

/** Remembers that a partition is about to be detached. Finds it there after a crash. */
export async function beginMove(db: Queryable, table: CompleteArchiveTable, move: PartitionMove): Promise<void> {
  const { source, target } = table;
  await typed(db)
    .insert(moves)
    .values({
      partitionSchema: move.schema,
      partitionName: move.name,
      sourceSchema: source.schema,
      sourceName: source.name,
      targetSchema: target.schema,
      targetName: target.name,
      bound: move.bound,
    })
    .onConflictDoNothing();
}

/** Forgets it; false when another process did, and moved it. */
export async function endMove(db: Queryable, { schema, name }: TableName): Promise<boolean> {
  const { rowCount } = await typed(db)
    .delete(moves)
    .where(and(eq(moves.partitionSchema, schema), eq(moves.partitionName, name)));
  return rowCount === 1;
}

/** What a crash left on its way out of a live table, oldest first. */
export async function unfinishedMoves(
  db: Queryable,
  { source, target }: CompleteArchiveTable,
): Promise<PartitionMove[]> {
  return typed(db)
    .select({ schema: moves.partitionSchema, name: moves.partitionName, bound: moves.bound })
    .from(moves)
    .where(
      and(
        eq(moves.sourceSchema, source.schema),
        eq(moves.sourceName, source.name),
        eq(moves.targetSchema, target.schema),
        eq(moves.targetName, target.name),
      ),
    )
    .orderBy(asc(moves.begunAt));
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
