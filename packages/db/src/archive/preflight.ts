import type { Connection } from '../connection/connection.ts';
import type { TableName } from '../partitions/partitioned-table.ts';
import type { CompleteArchiveTable } from './archive-table.ts';
import { rowSecurityProblem } from './row-security.ts';

/** What was found before anything is moved. */
export interface Preflight {
  /** Columns to move, in the source's order. */
  readonly columns: readonly string[];
  /** The timestamp column's type, such as `timestamp with time zone`. */
  readonly timestampType: string;
  /** Whether months have to be made in the target. */
  readonly partitioned: boolean;
  /** One sentence for each reason not to move anything. */
  readonly problems: readonly string[];
  /** One sentence for each thing that works but somebody should know. */
  readonly warnings: readonly string[];
}

/** A table of the catalog. */
interface Relation {
  readonly oid: number;
  readonly kind: string;
  readonly partitionColumn: string | null;
  readonly foreignKeys: readonly string[];
  readonly deleteTriggers: readonly string[];
  readonly indexed: readonly string[];
  readonly columns: readonly ColumnInfo[];
}

interface ColumnInfo {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly optional: boolean;
  readonly generated: boolean;
}

/**
 * Everything about a table that matters here, as one JSON value. Foreign keys are those of other tables that would delete
 * or change their rows with ours (confdeltype: cascade, set null, set default); `tgtype & 8` is a trigger on DELETE.
 */
const QUERY = `
  SELECT json_build_object(
    'oid', c.oid::int8,
    'kind', c.relkind,
    'partitionColumn', (SELECT a.attname FROM pg_partitioned_table p
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
       WHERE p.partrelid = c.oid AND p.partnatts = 1 AND p.partstrat = 'r'),
    'foreignKeys', (SELECT coalesce(json_agg(format('%s on %s', f.conname, f.conrelid::regclass) ORDER BY f.conname), '[]')
       FROM pg_constraint f
       WHERE f.contype = 'f' AND f.confrelid = c.oid AND f.confdeltype IN ('c', 'n', 'd') AND f.conparentid = 0),
    'deleteTriggers', (SELECT coalesce(json_agg(t.tgname ORDER BY t.tgname), '[]') FROM pg_trigger t
       WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 8 = 8),
    'indexed', (SELECT coalesce(json_agg(DISTINCT a.attname), '[]') FROM pg_index i
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
       WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL),
    'columns', (SELECT coalesce(json_agg(json_build_object(
         'name', a.attname,
         'type', format_type(a.atttypid, a.atttypmod),
         'required', a.attnotnull,
         'optional', NOT a.attnotnull OR a.atthasdef OR a.attidentity <> '',
         'generated', a.attgenerated <> '') ORDER BY a.attnum), '[]')
       FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  ) AS relation
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`;

const TIME_TYPES: ReadonlySet<string> = new Set(['timestamp with time zone', 'timestamp without time zone', 'date']);

/** Whether rows can move as configured, and how. Reads the catalog only. */
export async function preflightArchive(connection: Connection, table: CompleteArchiveTable): Promise<Preflight> {
  const source = await readRelation(connection, table.source);
  const target = await readRelation(connection, table.target);
  const missing = [
    ...(source === undefined ? [`source ${label(table.source)} does not exist`] : []),
    ...(target === undefined ? [`target ${label(table.target)} does not exist`] : []),
  ];
  if (source === undefined || target === undefined) {
    return { columns: [], timestampType: '', partitioned: false, problems: missing, warnings: [] };
  }
  const hidden = [
    await rowSecurityProblem(connection, table.source, 'takeOut'),
    await rowSecurityProblem(connection, table.target, 'putIn'),
  ];
  const timestampType = source.columns.find(({ name }) => name === table.timestampColumn)?.type ?? '';
  return {
    columns: movedColumns(source, target).map(({ name }) => name),
    timestampType,
    partitioned: target.kind === 'p',
    problems: [
      ...sourceProblems(source, table, timestampType),
      ...driftProblems(source, target, label(table.target)),
      ...partitionProblems(target, table),
      ...hidden.filter((problem) => problem !== undefined),
    ],
    warnings: findWarnings(source, table),
  };
}

async function readRelation(connection: Connection, { schema, name }: TableName): Promise<Relation | undefined> {
  const { rows } = await connection.query<{ relation: Relation }>(QUERY, [schema, name]);
  return rows[0]?.relation;
}

/** The target computes its generated columns itself. */
function movedColumns(source: Relation, target: Relation): readonly ColumnInfo[] {
  const computed = new Set(target.columns.filter(({ generated }) => generated).map(({ name }) => name));
  return source.columns.filter(({ name }) => !computed.has(name));
}

function sourceProblems(source: Relation, table: CompleteArchiveTable, timestampType: string): string[] {
  const problems: string[] = [];
  if (source.kind === 'p') {
    problems.push(`source ${label(table.source)} is partitioned: detach its old partitions instead`);
  }
  if (timestampType === '') problems.push(`source has no column "${table.timestampColumn}"`);
  else if (!TIME_TYPES.has(timestampType)) {
    problems.push(`column "${table.timestampColumn}" must be timestamptz, timestamp or date, but is ${timestampType}`);
  }
  for (const key of source.foreignKeys) {
    problems.push(`foreign key ${key} would delete or change rows there when rows leave the source`);
  }
  return problems;
}

function driftProblems(source: Relation, target: Relation, name: string): string[] {
  const theirs = new Map(target.columns.map((column) => [column.name, column]));
  const ours = new Set(source.columns.map((column) => column.name));
  const problems: string[] = [];
  for (const column of source.columns) {
    const other = theirs.get(column.name);
    if (other === undefined) problems.push(`target ${name} lacks column "${column.name}" (${column.type})`);
    else if (other.type !== column.type) {
      problems.push(`column "${column.name}" is ${column.type} in the source, but ${other.type} in target ${name}`);
    } else if (other.required && !column.required && !other.generated) {
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

function findWarnings(source: Relation, table: CompleteArchiveTable): string[] {
  const warnings = source.deleteTriggers.map((name) => `trigger ${name} of the source runs for each moved row`);
  if (!source.indexed.includes(table.timestampColumn)) {
    warnings.push(`no index of the source begins with "${table.timestampColumn}": each batch reads the whole table`);
  }
  return warnings;
}

function label({ schema, name }: TableName): string {
  return `${schema}.${name}`;
}
