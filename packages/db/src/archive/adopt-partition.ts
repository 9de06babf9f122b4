import { closeToOthers, giveToOwner, partitionName } from '../partitions/attach-partition.ts';
import { label, qualified, type TableName, monthsFrom } from '../partitions/partitioned-table.ts';
import type { CompleteArchiveTable } from './archive-table.ts';
import { type ColumnInfo, readRelation, type Relation } from './relation.ts';
import { monthEnd, type RangePartition, readRanges } from './source-partitions.ts';
import type { Connection } from '../connection.ts';

/** A partition can't become one of the archive; its rows can go there all the same, one by one. */
export class UnfitError extends Error {
  override readonly name: string = 'UnfitError';
}

type Bounds = Pick<RangePartition, 'bound' | 'fromMs' | 'toMs'>;

/**
 * Makes a table that belongs to no other one a partition of the archive, as an archived row would have it: with the archive's
 * columns, and without foreign keys, defaults, grants and policies of the live table. Call it inside a transaction in UTC.
 * @returns its new name
 * @throws {UnfitError} when every name for it is taken in the archive's schema; Postgres' error when it doesn't fit.
 */
export async function adoptPartition(
  connection: Connection,
  table: CompleteArchiveTable,
  child: TableName,
  bounds: Bounds,
): Promise<TableName> {
  const target = await readRelation(connection, table.target);
  const own = await readRelation(connection, child);
  if (target === undefined || own === undefined) throw new UnfitError(`${label(child)} or its archive is gone`);
  const actions = fitColumns(connection, own, target);
  if (actions.length > 0) {
    await connection.query(`ALTER TABLE ${qualified(connection, child)} ${actions.join(', ')}`);
  }
  const moved = await moveToSchema(connection, table, child, bounds);
  const name = qualified(connection, moved);
  const parent = qualified(connection, table.target);
  await connection.query(`ALTER TABLE ${parent} ATTACH PARTITION ${name} ${bounds.bound}`);
  await dropImpliedChecks(connection, name);
  if (target.rowSecurity) {
    await dropPolicies(connection, name);
    await closeToOthers(connection, name);
  }
  await giveToOwner(connection, parent, name);
  return moved;
}

/** Defaults may belong to the application's sequences; a row that is stored through the archive gets the archive's. */
function fitColumns(connection: Connection, own: Relation, target: Relation): string[] {
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const theirs = new Map(target.columns.map((column) => [column.name, column]));
  const mine = new Set(own.columns.map(({ name }) => name));
  const changes = own.columns.flatMap((column) => {
    const other = theirs.get(column.name);
    const alter = `ALTER COLUMN ${quote(column.name)}`;
    return [
      ...(column.generated && other?.generated !== true ? [`${alter} DROP EXPRESSION`] : []),
      ...(column.identity ? [`${alter} DROP IDENTITY`] : []),
      ...(!column.generated && column.expression !== null ? [`${alter} DROP DEFAULT`] : []),
      ...(other?.required === true && !column.required ? [`${alter} SET NOT NULL`] : []),
    ];
  });
  const added = target.columns.filter(({ name }) => !mine.has(name)).map((column) => addColumn(quote, column));
  return [...changes, ...added];
}

/** `now()` is one value for all rows that are there, so that none of them is written again. */
function addColumn(quote: (name: string) => string, column: ColumnInfo): string {
  const { name, type, required, generated, expression } = column;
  const value =
    expression === null ? '' : generated ? ` GENERATED ALWAYS AS (${expression}) STORED` : ` DEFAULT ${expression}`;
  return `ADD COLUMN ${quote(name)} ${type}${value}${required ? ' NOT NULL' : ''}`;
}

/** Puts it beside the archive's months, under the name of its month where it is one. */
async function moveToSchema(
  connection: Connection,
  { target }: CompleteArchiveTable,
  child: TableName,
  bounds: Bounds,
): Promise<TableName> {
  const { schema } = target;
  const month = monthName(target, bounds);
  for (const name of [...(month === undefined ? [] : [month]), child.name]) {
    const there = { schema, name };
    if (label(there) === label(child)) return there;
    if (await isTaken(connection, there)) continue;
    const alter = async (from: TableName, action: string): Promise<unknown> =>
      connection.query(`ALTER TABLE ${qualified(connection, from)} ${action}`);
    const inPlace = { schema: child.schema, name };
    const rename = async (from: TableName): Promise<unknown> =>
      name === child.name ? undefined : alter(from, `RENAME TO ${connection.escapeIdentifier(name)}`);
    const change = async (from: TableName): Promise<unknown> =>
      schema === child.schema ? undefined : alter(from, `SET SCHEMA ${connection.escapeIdentifier(schema)}`);
    if (!(await isTaken(connection, { schema, name: child.name }))) {
      await change(child);
      await rename({ schema, name: child.name });
      return there;
    }
    if (name !== child.name && (await isTaken(connection, inPlace))) continue;
    await rename(child);
    await change(inPlace);
    return there;
  }
  throw new UnfitError(`${schema}.${child.name} is the name of another table`);
}

/** Tables, indexes, types: all share their names. */
async function isTaken(connection: Connection, { schema, name }: TableName): Promise<boolean> {
  const { rowCount } = await connection.query(
    `SELECT 1 FROM pg_class WHERE relname = $2 AND relnamespace = to_regnamespace(quote_ident($1))
     UNION ALL SELECT 1 FROM pg_type WHERE typname = $2 AND typnamespace = to_regnamespace(quote_ident($1))`,
    [schema, name],
  );
  return (rowCount ?? 0) > 0;
}

/** `api_call_logs_2025_12`; undefined for another stretch than a month in UTC, or when Postgres would cut the name. */
function monthName(target: TableName, { fromMs, toMs }: Pick<Bounds, 'fromMs' | 'toMs'>): string | undefined {
  if (!Number.isFinite(fromMs) || monthEnd(fromMs) !== fromMs || monthEnd(fromMs + 1) !== toMs) return undefined;
  const [month] = monthsFrom(new Date(fromMs), 0);
  const name = month === undefined ? '' : partitionName(target, month);
  return month === undefined || Buffer.byteLength(name) > 63 ? undefined : name;
}

/** DETACH CONCURRENTLY leaves a CHECK that says what the bounds say again. */
async function dropImpliedChecks(connection: Connection, child: string): Promise<void> {
  const { rows } = await connection.query<{ name: string }>(
    `SELECT quote_ident(conname) AS name FROM pg_constraint
     WHERE conrelid = $1::regclass AND contype = 'c' AND conislocal AND coninhcount = 0
       AND pg_get_expr(conbin, conrelid) = pg_get_partition_constraintdef(conrelid)`,
    [child],
  );
  for (const { name } of rows) await connection.query(`ALTER TABLE ${child} DROP CONSTRAINT ${name}`);
}

async function dropPolicies(connection: Connection, child: string): Promise<void> {
  const { rows } = await connection.query<{ name: string }>(
    'SELECT quote_ident(polname) AS name FROM pg_policy WHERE polrelid = $1::regclass',
    [child],
  );
  for (const { name } of rows) await connection.query(`DROP POLICY ${name} ON ${child}`);
}

/**
 * Drops the archive's months that stand in a partition's way: made ahead, and empty. An old month without rows is not read,
 * but the lock is the archive's. Call it inside a transaction in UTC with a lock_timeout and row_security off.
 * @throws {UnfitError} when one has rows, or is none of those that Spillway makes.
 */
export async function clearTarget(
  connection: Connection,
  { target }: CompleteArchiveTable,
  { fromMs, toMs }: Pick<Bounds, 'fromMs' | 'toMs'>,
): Promise<void> {
  const parent = qualified(connection, target);
  const inTheWay = (await readRanges(connection, parent)).filter((each) => each.fromMs < toMs && each.toMs > fromMs);
  if (inTheWay.length === 0) return;
  const assertEmpty = async (): Promise<void> => {
    for (const each of inTheWay) {
      const ours = each.kind === 'r' && !each.detaching && each.name === monthName(target, each);
      if (!ours) throw new UnfitError(`${label(each)} covers some of the same time`);
      const { rowCount } = await connection.query(`SELECT FROM ONLY ${qualified(connection, each)} LIMIT 1`);
      if (rowCount !== 0) throw new UnfitError(`${label(each)} has rows of the same time already`);
    }
  };
  await assertEmpty();
  await connection.query(`LOCK TABLE ONLY ${parent} IN ACCESS EXCLUSIVE MODE`);
  await assertEmpty();
  for (const each of inTheWay) await connection.query(`DROP TABLE ${qualified(connection, each)}`);
}
