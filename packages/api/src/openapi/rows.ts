import { createRoute, type RouteConfig, z } from '@hono/zod-openapi';
import { type Column, getTableColumns, type Table } from 'drizzle-orm';
import { badRequestProblem, problemException } from '../problems.ts';
import type { ApiApp } from './api-app.ts';
import { boundedText, omitUndefined, type OmitUndefined, queryWholeNumber, strictObject } from './fields.ts';
import { json } from './responses.ts';

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

/** The year 9999. */
export const LATEST_MS = 253_402_300_799_999;

/** A whole number in a query string, or nothing. */
type OptionalNumber = z.ZodOptional<z.ZodType<number, string>>;

/** What pages every list. */
export const pageQuery: { readonly limit: OptionalNumber; readonly after: z.ZodOptional<z.ZodString> } = {
  limit: queryWholeNumber(1, 1_000).optional().openapi({ default: 50 }),
  after: boundedText(2_048).optional().openapi({ description: '`next` of the page before.' }),
};

/** The stretch of time of a list. */
export const timeQuery: { readonly sinceMs: OptionalNumber; readonly untilMs: OptionalNumber } = {
  sinceMs: queryWholeNumber(0, LATEST_MS).optional().openapi({ description: 'From this time on, in ms since 1970.' }),
  untilMs: queryWholeNumber(0, LATEST_MS).optional().openapi({ description: 'Before this time.' }),
};

/** The cursor of the following page; null on the last one. */
export const next: z.ZodType<string | null> = z.string().nullable();

/** A list of rows in Postgres: its route, without what all such routes have in common. */
interface RowList<Filters extends z.ZodRawShape, Row> extends Pick<
  RouteConfig,
  'path' | 'tags' | 'operationId' | 'summary' | 'description' | 'security' | 'middleware'
> {
  /** What rows can be selected by. */
  readonly filters: Filters;
  readonly row: z.ZodType<Row>;
  /** Reads a page. */
  find(
    query: OmitUndefined<z.output<z.ZodObject<typeof pageQuery & Filters>>>,
  ): Promise<{ readonly rows: readonly Row[]; readonly next: string | null }>;
}

/** Serves a list of rows, a page at a time. */
export function listRoute<Filters extends z.ZodRawShape, Row>(app: ApiApp, list: RowList<Filters, Row>): void;
export function listRoute(app: ApiApp, { filters, row, find, ...route }: RowList<z.ZodRawShape, unknown>): void {
  const described = createRoute({
    ...route,
    method: 'get',
    request: { query: strictObject({ ...pageQuery, ...filters }) },
    responses: { 200: json(z.object({ rows: z.array(row), next }), 'One page.') },
  });
  app.openapi(described, async (context) => {
    const page = await find(omitUndefined(context.req.valid('query')));
    return context.json({ rows: [...page.rows], next: page.next }, 200);
  });
}

/**
 * One page of things that are kept by name and not by time, in the order of their names. A cursor is the last name of a page, so
 * that what is added or removed meanwhile shifts nothing.
 * @throws {HTTPException} that becomes a 400 for an `after` that no page returned
 */
export function pageOf<Row>(
  all: readonly Row[],
  nameOf: (row: Row) => string,
  { limit = 50, after }: { readonly limit?: number | undefined; readonly after?: string | undefined },
): { readonly rows: Row[]; readonly next: string | null } {
  const last = after === undefined ? undefined : nameIn(after);
  const behind = all
    .filter((row) => last === undefined || nameOf(row) > last)
    .toSorted((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1));
  const rows = behind.slice(0, limit);
  const end = rows.at(-1);
  return { rows, next: end === undefined || behind.length <= limit ? null : cursorOf(nameOf(end)) };
}

/** The cursor of the page behind a name. */
export function cursorOf(name: string): string {
  return Buffer.from(`name:${name}`).toString('base64url');
}

/** @throws {HTTPException} that becomes a 400 */
export function nameIn(cursor: string): string {
  const name = Buffer.from(cursor, 'base64url').toString();
  if (name.startsWith('name:') && cursorOf(name.slice(5)) === cursor) return name.slice(5);
  throw problemException(badRequestProblem([{ field: 'after', detail: 'is not a cursor that a page returned' }]));
}
