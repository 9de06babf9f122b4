import { z } from '@hono/zod-openapi';
import { type Column, getTableColumns, type Table } from 'drizzle-orm';

/** Where an event stood in the outbox: of no use to a client. */
export const outboxColumns: readonly ['outboxShard', 'outboxEpoch', 'outboxSeq'] = [
  'outboxShard',
  'outboxEpoch',
  'outboxSeq',
];

/** What the members of a row's object are. */
type Members<Row, Over extends z.ZodRawShape> = {
  readonly [Key in keyof Row & string]: Key extends keyof Over ? Over[Key] : z.ZodType<Row[Key]>;
};

/**
 * The schema of an object that has the columns of a table, by the names and with the types that drizzle gives its rows.
 * drizzle-zod would take each of our times, a type of our own, for anything.
 *
 * @param omit columns that are not shown
 * @param over schemas for columns that are shown otherwise, or that need more said
 */
export function rowSchema<
  T extends Table,
  Omitted extends keyof T['$inferSelect'] & string,
  Over extends z.ZodRawShape,
>(
  table: T,
  omit: readonly Omitted[],
  over: Over & Record<Exclude<keyof Over, keyof T['$inferSelect']>, never>,
): z.ZodObject<Members<Omit<T['$inferSelect'], Omitted>, Over>>;
export function rowSchema(table: Table, omit: readonly string[], over: z.ZodRawShape): z.ZodObject {
  const hidden = new Set<string>(omit);
  const members = Object.entries(getTableColumns(table))
    .filter(([key]) => !hidden.has(key))
    .map(([key, column]) => [key, over[key] ?? schemaOf(column)]);
  return z.object(Object.fromEntries(members));
}

function schemaOf(column: Column): z.ZodType {
  const schema = typeOf(column);
  return column.notNull || column.dataType === 'json' ? schema : schema.nullable();
}

function typeOf(column: Column): z.ZodType {
  if (column.dataType === 'string') return z.string();
  // A time is epoch milliseconds.
  if (column.dataType === 'number' || column.getSQLType() === 'timestamp with time zone') return z.number();
  if (column.dataType === 'boolean') return z.boolean();
  if (column.dataType === 'json') return z.unknown();
  if (column.getSQLType() === 'text[]') return z.array(z.string());
  throw new TypeError(`no JSON is known for ${column.name} of type ${column.getSQLType()}`);
}
