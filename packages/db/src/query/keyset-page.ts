import { and, type Column, desc, eq, gte, lt, type SQL, sql } from 'drizzle-orm';
import { InvalidOptionError, wholeNumber } from '../errors.ts';

/** Options of every list besides its own filters. */
export interface PageOptions {
  /** Rows a page, 1 to 1,000. @default 50 */
  readonly limit?: number;
  /** `next` of the page before. @default from the newest row on */
  readonly after?: string;
  /** Only rows of this time or later, in epoch ms. @default from the first on */
  readonly sinceMs?: number;
  /** Only rows before this time, in epoch ms. @default to the last */
  readonly untilMs?: number;
}

/** Rows, newest first. */
export interface Page<Row> {
  readonly rows: readonly Row[];
  /** Pass it as `after` for the following page; null on the last one. */
  readonly next: string | null;
}

/** What a list adds to its query in order to read one page. */
export interface PageQuery {
  readonly where: SQL | undefined;
  readonly orderBy: SQL[];
  readonly limit: number;
}

const LARGEST_PAGE = 1_000;

/** The year 9999: beyond it Postgres and JavaScript disagree about what a time is. */
const LATEST_MS = 253_402_300_799_999;

/**
 * Reads one page of a list with keyset pagination: each page starts right behind a known row, so rows that arrive meanwhile
 * shift nothing and page 1,000 costs what page 1 does.
 *
 * @param table the columns by which rows are ordered: `time`, an `epochMs` column, and `id`
 * @throws {InvalidCursorError} for an `after` that no page returned.
 * @throws {InvalidOptionError} for a limit or a time out of range.
 */
export async function readPage<
  Time extends string,
  Row extends { readonly id: string } & Readonly<Record<Time, number>>,
>(
  table: { readonly id: Column } & Readonly<Record<Time, Column>>,
  time: Time,
  options: PageOptions,
  read: (page: PageQuery) => PromiseLike<Row[]>,
): Promise<Page<Row>> {
  const limit = wholeNumber('limit', options.limit ?? 50, 1, LARGEST_PAGE);
  const { id, [time]: at } = table;
  const where = and(
    behind(at, id, options.after),
    when(instant('sinceMs', options.sinceMs), (ms) => gte(at, ms)),
    when(instant('untilMs', options.untilMs), (ms) => lt(at, ms)),
  );
  // One more than asked for tells whether there is a following page.
  const rows = await read({ where, orderBy: [desc(at), desc(id)], limit: limit + 1 });
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { rows: page, next: more ? encodeCursor({ createdAtMs: last[time], id: last.id }) : null };
}

/** A condition for a value that was given; undefined, which `and()` leaves out, for one that was not. */
export function when<Value>(value: Value | undefined, condition: (value: Value) => SQL | undefined): SQL | undefined {
  return value === undefined ? undefined : condition(value);
}

/** Rows whose column holds the value, or all when none is given. */
export function equals(column: Column, value: string | undefined): SQL | undefined {
  return when(value, (given) => eq(column, given));
}

function behind(at: Column, id: Column, after: string | undefined): SQL | undefined {
  if (after === undefined) return undefined;
  const row = decodeCursor(after);
  const moment = sql`'epoch'::timestamptz + ${row.createdAtUs}::int8 * interval '1 microsecond'`;
  return sql`(${at}, ${id}) < (${moment}, ${row.id}::uuid)`;
}

function instant(option: string, ms: number | undefined): number | undefined {
  if (ms === undefined || (ms >= 0 && ms <= LATEST_MS)) return ms;
  throw new InvalidOptionError(option, ms, `a time in ms from 0 to ${LATEST_MS}`);
}

/** SQL for a timestamptz as epoch ms. float8 is exact for milliseconds with three decimals, all that a timestamptz has. */
export function epochMs(column: string, name: string): string {
  return `(extract(epoch FROM ${column}) * 1000)::float8 AS "${name}"`;
}

/** A cursor that did not come from a page of ours; an HTTP API answers 400. */
export class InvalidCursorError extends Error {
  override readonly name: string = 'InvalidCursorError';
  readonly code = 'invalid_cursor' as const;

  constructor() {
    super('The cursor is not one that a page returned');
  }
}

/** The last row of a page. */
export interface PagePosition {
  /** created_at as epoch milliseconds, with decimals for the microseconds. */
  readonly createdAtMs: number;
  readonly id: string;
}

/** Up to 16 digits of microseconds: the year 2286. */
const FORMAT = /^(-?\d{1,16})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/u;

/** A position as an opaque text, safe in a URL. It holds whole microseconds, Postgres' own precision, so none is skipped. */
function encodeCursor({ createdAtMs, id }: PagePosition): string {
  return Buffer.from(`${Math.round(createdAtMs * 1000)}.${id}`).toString('base64url');
}

/**
 * The row behind which the page begins.
 * @throws {InvalidCursorError} when the text isn't a cursor.
 */
function decodeCursor(cursor: string): { readonly createdAtUs: string; readonly id: string } {
  const [, createdAtUs, id] = FORMAT.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (createdAtUs === undefined || id === undefined) throw new InvalidCursorError();
  return { createdAtUs, id };
}
