import type { Connection } from '../connection/connection.ts';
import { label } from '../partitions/partitioned-table.ts';
import { type ArchiveTable, completeArchiveTable } from './archive-table.ts';
import { type ArchiveChange, ensureArchive } from './ensure-archive.ts';
import { preflightArchive } from './preflight.ts';

/** How a live table and its archive fit together. */
export interface ArchiveReport {
  /** The live table, `schema.name`. */
  readonly source: string;
  /** Its archive, `schema.name`. */
  readonly target: string;
  /** The archive was made now. */
  readonly created: boolean;
  /** Columns that the archive got now, because the live table has them. */
  readonly addedColumns: readonly string[];
  /** Whether the live table exists and has the column of time; without it nothing is archived. */
  readonly archivable: boolean;
  /** One sentence for each reason why nothing can be archived. */
  readonly problems: readonly string[];
  /** One sentence for each thing that works but somebody should know. */
  readonly warnings: readonly string[];
}

/** Makes the archives that are missing and adds columns to those that Spillway made. */
export async function ensureArchives(
  connection: Connection,
  tables: readonly ArchiveTable[],
): Promise<readonly ArchiveChange[]> {
  const changes = [];
  for (const table of tables) changes.push(await ensureArchive(connection, completeArchiveTable(table)));
  return changes;
}

/** Compares live tables with their archives, as each run does before it moves anything. Changes nothing. */
export async function inspectArchives(
  connection: Connection,
  tables: readonly ArchiveTable[],
  changes: readonly ArchiveChange[] = [],
): Promise<readonly ArchiveReport[]> {
  const reports = [];
  for (const [index, table] of tables.entries()) {
    const { archivable, problems, warnings } = await preflightArchive(connection, completeArchiveTable(table));
    const { created = false, addedColumns = [], refused } = changes[index] ?? {};
    const names = { source: label(table.source), target: label(table.target) };
    const all = refused === undefined ? problems : [...problems, `${names.target} was not changed: ${refused}`];
    reports.push({ ...names, created, addedColumns, archivable, problems: all, warnings });
  }
  return reports;
}
