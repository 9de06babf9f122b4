import { label, qualified } from '../partitions/partitioned-table.ts';
import { type CompleteArchiveTable, FINISHED } from './archive-table.ts';
import { type ColumnInfo, readRelation, type Relation, TIME_TYPES, rowSecurityProblem } from './relation.ts';
import type { Connection } from '../connection.ts';
import { sqlState } from '../errors.ts';

/** What was found before anything is moved. */
export interface Preflight {
  /** Columns to move, in the source's order. */
  readonly columns: readonly string[];
  /** The timestamp column's type, such as `timestamp with time zone`. */
  readonly timestampType: string;
  /** Whether months have to be made in the target. */
  readonly partitioned: boolean;
  /** The source as it stands after FROM: without the tables that inherit from it, but with its partitions. */
  readonly from: string;
  /** The source is partitioned, by whatever. */
  readonly hasPartitions: boolean;
  /** The source is partitioned by range on its column of time, and its old partitions move whole. */
  readonly wholePartitions: boolean;
  /** The source's DEFAULT partition, `schema.name`. */
  readonly defaultPartition: string | null;
  /** Whether there is a source with a column of time. Without one there is nothing to do. */
  readonly archivable: boolean;
  /** The condition that a row must meet besides its age. */
  readonly where: string;
  /** One sentence for each reason not to move anything. */
  readonly problems: readonly string[];
  /** One sentence for each thing that works but needs attention. */
  readonly warnings: readonly string[];
}

/** Whether rows can move as configured, and how. Reads no rows. */
export async function preflightArchive(connection: Connection, table: CompleteArchiveTable): Promise<Preflight> {
  const source = await readRelation(connection, table.source);
  const target = await readRelation(connection, table.target);
  const partitioned = target !== undefined && target.partitionColumn === table.timestampColumn;
  const timestampType = source?.columns.find(({ name }) => name === table.timestampColumn)?.type ?? '';
  const byTime = source?.kind === 'p' && source.partitionColumn === table.timestampColumn;
  const hasPartitions = source?.kind === 'p';
  const from = `${hasPartitions ? '' : 'ONLY '}${qualified(connection, table.source)}`;
  const wholePartitions = byTime && partitioned && source.mine && target.defaultPartition === null;
  const defaultPartition = source?.defaultPartition ?? null;
  const shape = { from, hasPartitions, wholePartitions, defaultPartition, partitioned };
  const common = { ...shape, timestampType, archivable: source !== undefined && TIME_TYPES.has(timestampType) };
  if (source === undefined || target === undefined) {
    const problems = [
      ...(source === undefined
        ? [`source ${label(table.source)} does not exist`]
        : sourceProblems(source, table, timestampType)),
      // Without a source to archive, no target is wanted.
      ...(target === undefined && common.archivable ? [`target ${label(table.target)} does not exist`] : []),
    ];
    return { ...common, columns: [], where: table.where, problems, warnings: [] };
  }
  const hidden = [
    await rowSecurityProblem(connection, table.source, 'takeOut'),
    await rowSecurityProblem(connection, table.target, 'putIn'),
  ];
  const condition = await readCondition(connection, table, source);
  return {
    ...common,
    columns: movedColumns(source, target).map(({ name }) => name),
    where: condition.where,
    problems: [
      ...sourceProblems(source, table, timestampType),
      ...condition.problems,
      ...driftProblems(source, target, table),
      ...partitionProblems(target, table),
      ...hidden.filter((problem) => problem !== undefined),
    ],
    warnings: [...condition.warnings, ...findWarnings(source, target, table, wholePartitions)],
  };
}

/** The condition, once Postgres has understood it. An application's generations may have no status: then all are finished. */
async function readCondition(
  connection: Connection,
  { source: name, where }: CompleteArchiveTable,
  source: Relation,
): Promise<Pick<Preflight, 'where' | 'problems' | 'warnings'>> {
  if (where === FINISHED && !source.columns.some((column) => column.name === 'status')) {
    const warning = `source ${label(name)} has no column "status": every row that is old enough moves`;
    return { where: 'true', problems: [], warnings: [warning] };
  }
  const from = qualified(connection, name);
  try {
    await connection.query(`SELECT FROM ONLY ${from} WHERE (${where}) LIMIT 0`);
    return { where, problems: [], warnings: [] };
  } catch (error) {
    const state = sqlState(error) ?? '';
    // Data exceptions and errors of syntax and names. Whether this user may read the table is not asked here.
    if (!(error instanceof Error) || !/^(?:22|42)/u.test(state)) throw error;
    if (state === '42501') return { where, problems: [], warnings: [] };
    return { where, problems: [`condition "${where}" does not fit ${label(name)}: ${error.message}`], warnings: [] };
  }
}

/** The target computes its generated columns itself. */
function movedColumns(source: Relation, target: Relation): readonly ColumnInfo[] {
  const computed = new Set(target.columns.filter(({ generated }) => generated).map(({ name }) => name));
  return source.columns.filter(({ name }) => !computed.has(name));
}

const CHOOSE = 'name its column of time as timestampColumn in SPILLWAY_ARCHIVE_TABLES, or set enabled to false';

function sourceProblems(source: Relation, table: CompleteArchiveTable, timestampType: string): string[] {
  const problems: string[] = [];
  if (timestampType === '')
    problems.push(`source ${label(table.source)} has no column "${table.timestampColumn}": ${CHOOSE}`);
  else if (!TIME_TYPES.has(timestampType)) {
    problems.push(
      `column "${table.timestampColumn}" must be timestamptz, timestamp or date, but is ${timestampType}: ${CHOOSE}`,
    );
  }
  for (const key of source.foreignKeys) {
    problems.push(`foreign key ${key} would delete or change rows there when rows leave the source`);
  }
  return problems;
}

function driftProblems(source: Relation, target: Relation, table: CompleteArchiveTable): string[] {
  const name = label(table.target);
  const theirs = new Map(target.columns.map((column) => [column.name, column]));
  const ours = new Set(source.columns.map((column) => column.name));
  const problems: string[] = [];
  for (const column of source.columns) {
    const other = theirs.get(column.name);
    if (other === undefined) problems.push(`target ${name} lacks column "${column.name}" (${column.type})`);
    else if (other.type !== column.type) {
      problems.push(`column "${column.name}" is ${column.type} in the source, but ${other.type} in target ${name}`);
    } else if (other.required && !column.required && !other.generated && column.name !== table.timestampColumn) {
      // A row without a time is never old.
      problems.push(`column "${column.name}" may be null in the source, but not in target ${name}`);
    }
  }
  for (const column of target.columns) {
    if (ours.has(column.name) || column.optional || column.generated) continue;
    problems.push(`target ${name} demands a value for column "${column.name}", which the source lacks`);
  }
  return problems;
}

function partitionProblems(target: Relation, table: CompleteArchiveTable): string[] {
  if (target.kind !== 'p' || target.partitionColumn === table.timestampColumn) return [];
  return [`target ${label(table.target)} must be partitioned by range on "${table.timestampColumn}"`];
}

function findWarnings(
  source: Relation,
  target: Relation,
  table: CompleteArchiveTable,
  wholePartitions: boolean,
): string[] {
  const warnings = source.deleteTriggers.map((name) =>
    wholePartitions
      ? `trigger ${name} of the source does not run for rows that move with their partition`
      : `trigger ${name} of the source runs for each moved row`,
  );
  const byRows = rowsBecause(source, target, table);
  if (byRows !== undefined) warnings.push(byRows);
  if (!wholePartitions && !source.indexed.includes(table.timestampColumn)) {
    warnings.push(`no index of the source begins with "${table.timestampColumn}": each batch reads the whole table`);
  }
  return warnings;
}

/** Why a partitioned source gives its rows away one by one; undefined for one that isn't, or whose partitions move whole. */
function rowsBecause(source: Relation, target: Relation, table: CompleteArchiveTable): string | undefined {
  if (source.kind !== 'p') return undefined;
  const [from, to] = [label(table.source), label(table.target)];
  const column = `"${table.timestampColumn}"`;
  const rest = 'rows move one by one, and partitions stay';
  if (source.partitionColumn !== table.timestampColumn) {
    return `source ${from} is partitioned, but not by range on ${column} alone: ${rest}`;
  }
  if (target.kind !== 'p') return `target ${to} is not partitioned: ${rest}`;
  if (target.defaultPartition !== null)
    return `target ${to} has the DEFAULT partition ${target.defaultPartition}: ${rest}`;
  if (source.mine) return undefined;
  return `partitions of ${from} are ${source.owner}'s: ${rest}, unless this user is a member of ${source.owner}`;
}
