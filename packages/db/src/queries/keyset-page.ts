import type { Queryable } from '../connection/connection.ts';
import { InvalidOptionError, wholeNumber } from '../invalid-option-error.ts';
import { decodeCursor, encodeCursor } from './page-cursor.ts';

/** What every list takes beside its own filters. */
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

/** One filter: it holds for every row when `read` gives undefined. */
export interface Filter<Options> {
  /** Type of the value in Postgres. */
  readonly type: 'text' | 'bool' | 'uuid';
  /** The condition, given the parameter: `(value) => 'tier = ' + value`. */
  readonly where: (parameter: string) => string;
  readonly read: (options: Options) => string | boolean | undefined;
}

/** What a list reads. */
export interface KeysetList<Row, Options> {
  readonly table: string;
  /** The columns, as SQL. Must hold `id`. */
  readonly columns: string;
  /** The timestamptz column by which rows are ordered. */
  readonly time: string;
  /** That column of a row, as epoch ms with three decimals. */
  readonly timeMs: (row: Row) => number;
  readonly filters: readonly Filter<Options>[];
}

/** Reads one page. */
export type ListRows<Row, Options> = (db: Queryable, options?: Options) => Promise<Page<Row>>;

const LARGEST_PAGE = 1_000;

/** The year 9999: beyond it Postgres and JavaScript disagree about what a time is. */
const LATEST_MS = 253_402_300_799_999;

/**
 * A list with keyset pagination: each page starts right behind a known row, so rows that arrive meanwhile shift nothing
 * and page 1,000 costs what page 1 does. An absent filter is a null, which the planner folds away, since unnamed
 * statements are planned with their values.
 *
 * The list rejects with {@link InvalidCursorError} for an `after` that no page returned, and with
 * {@link InvalidOptionError} for a limit or a time out of range.
 */
export function keysetList<Row extends { readonly id: string }, Options extends PageOptions>(
  list: KeysetList<Row, Options>,
): ListRows<Row, Options> {
  const { filters, timeMs } = list;
  const text = statement(list);
  return async (db, options) => {
    const limit = wholeNumber('limit', options?.limit ?? 50, 1, LARGEST_PAGE);
    const after = options?.after === undefined ? null : decodeCursor(options.after);
    const { rows } = await db.query<Row>(text, [
      after?.createdAtUs ?? null,
      after?.id ?? null,
      instant('sinceMs', options?.sinceMs),
      instant('untilMs', options?.untilMs),
      // One more than asked for tells whether there is a following page.
      limit + 1,
      ...filters.map(({ read }) => (options === undefined ? null : (read(options) ?? null))),
    ]);
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    const more = rows.length > limit && last !== undefined;
    return { rows: page, next: more ? encodeCursor({ createdAtMs: timeMs(last), id: last.id }) : null };
  };
}

function statement<Row, Options>({ table, columns, time, filters }: KeysetList<Row, Options>): string {
  const conditions = filters.map(({ type, where }, index) => {
    const parameter = `$${index + 6}::${type}`;
    return `AND (${parameter} IS NULL OR ${where(parameter)})`;
  });
  return `
    SELECT ${columns} FROM ${table}
    WHERE ($1::int8 IS NULL OR (${time}, id) < ('epoch'::timestamptz + $1::int8 * interval '1 microsecond', $2::uuid))
      AND ($3::float8 IS NULL OR ${time} >= to_timestamp($3::float8 / 1000))
      AND ($4::float8 IS NULL OR ${time} < to_timestamp($4::float8 / 1000))
      ${conditions.join('\n      ')}
    ORDER BY ${time} DESC, id DESC
    LIMIT $5`;
}

function instant(option: string, ms: number | undefined): number | null {
  if (ms === undefined) return null;
  if (ms >= 0 && ms <= LATEST_MS) return ms;
  throw new InvalidOptionError(option, ms, `a time in ms from 0 to ${LATEST_MS}`);
}

/** SQL for a timestamptz as epoch ms. float8 is exact for milliseconds with three decimals, all that a timestamptz has. */
export function epochMs(column: string, name: string): string {
  return `(extract(epoch FROM ${column}) * 1000)::float8 AS "${name}"`;
}
