import { qualified, label } from '../partitions/partitioned-table.ts';
import { type CompleteArchiveTable, type ArchiveTable, completeArchiveTable } from './archive-table.ts';
import { preflightArchive } from './preflight.ts';
import { readRelation, type Relation, TIME_TYPES } from './relation.ts';
import { type Connection, transaction } from '../connection.ts';
import { sqlState } from '../errors.ts';

/** What was done to an archive so that its source fits. */
export interface ArchiveChange {
  /** Made now. */
  readonly created: boolean;
  /** Columns that it lacked. */
  readonly addedColumns: readonly string[];
  /** Postgres' words when this user may not, or another session has locked the table; undefined when nothing was in the way. */
  readonly refused: string | undefined;
}

/** Longest wait for a lock on the archive or its source, in milliseconds. Statements that queue behind it wait at most as long. */
const LOCK_TIMEOUT_MS = 1_000;

/**
 * Makes the archive of a live table of any shape: with its columns, partitioned by month on the column of time, its key with
 * that column added, and row level security. One that Spillway made follows its source; another's stays as it is. A source
 * that does not exist or has no such column gets none.
 */
async function ensureArchive(connection: Connection, table: CompleteArchiveTable): Promise<ArchiveChange> {
  const source = await readRelation(connection, table.source);
  const target = await readRelation(connection, table.target);
  if (target !== undefined) return followSource(connection, table);
  const type = source?.columns.find(({ name }) => name === table.timestampColumn)?.type;
  if (source === undefined || type === undefined || !TIME_TYPES.has(type)) return unchanged();
  return change(connection, creation(connection, table, source), { created: true, addedColumns: [] });
}

/** Adds what the source has got since to an archive that Spillway made, as columns that may be null. */
export async function followSource(connection: Connection, table: CompleteArchiveTable): Promise<ArchiveChange> {
  const source = await readRelation(connection, table.source);
  const target = await readRelation(connection, table.target);
  if (source === undefined || target === undefined || !target.ours) return unchanged();
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const added = source.columns.filter(({ name }) => !target.columns.some((column) => column.name === name));
  const demanded = new Set(source.columns.filter(({ required }) => required).map(({ name }) => name));
  const present = new Set(source.columns.map(({ name }) => name));
  const loosened = target.columns.filter(
    ({ name, required, optional }) =>
      required && !target.key.includes(name) && !demanded.has(name) && (present.has(name) || !optional),
  );
  const actions = [
    ...added.map(({ name, type }) => `ADD COLUMN ${quote(name)} ${type}`),
    ...loosened.map(({ name }) => `ALTER COLUMN ${quote(name)} DROP NOT NULL`),
  ];
  if (actions.length === 0) return unchanged();
  const statement = `ALTER TABLE ${qualified(connection, table.target)} ${actions.join(', ')}`;
  return change(connection, [statement], { created: false, addedColumns: added.map(({ name }) => name) });
}

function creation(connection: Connection, table: CompleteArchiveTable, source: Relation): string[] {
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const name = qualified(connection, table.target);
  const at = quote(table.timestampColumn);
  // The defaults of an application's table may belong to its sequences.
  const like = `LIKE ${qualified(connection, table.source)}${source.ours ? ' INCLUDING DEFAULTS' : ''}`;
  const stamped = source.columns.some((column) => column.name === 'archived_at');
  // A partitioned table's key must hold the partition column.
  const key = source.key.includes(table.timestampColumn) ? source.key : [...source.key, table.timestampColumn];
  return [
    `CREATE TABLE ${name} (${like}${stamped ? '' : ', archived_at timestamptz NOT NULL DEFAULT now()'})
     PARTITION BY RANGE (${at})`,
    ...(source.key.length === 0 ? [] : [`ALTER TABLE ${name} ADD PRIMARY KEY (${key.map(quote).join(', ')})`]),
    `CREATE INDEX IF NOT EXISTS ${quote(`${table.target.name}_${table.timestampColumn}_brin`)} ON ${name} USING brin (${at})`,
    `ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`,
    `CREATE POLICY spillway ON ${name} TO CURRENT_USER USING (true) WITH CHECK (true)`,
  ];
}

async function change(
  connection: Connection,
  statements: readonly string[],
  done: Omit<ArchiveChange, 'refused'>,
): Promise<ArchiveChange> {
  try {
    await transaction(connection, { lockTimeoutMs: LOCK_TIMEOUT_MS }, async () => {
      for (const statement of statements) await connection.query(statement);
    });
    return { ...done, refused: undefined };
  } catch (error) {
    // Not the owner; locked; no such schema; made or altered by another a moment ago.
    const expected = ['42501', '55P03', '3F000', '42P07', '42701'];
    if (!(error instanceof Error) || !expected.includes(sqlState(error) ?? '')) throw error;
    return { ...unchanged(), refused: error.message };
  }
}

function unchanged(): ArchiveChange {
  return { created: false, addedColumns: [], refused: undefined };
}

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
  /** One sentence for each thing that works but needs attention. */
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
