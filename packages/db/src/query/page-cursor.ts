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
export function encodeCursor({ createdAtMs, id }: PagePosition): string {
  return Buffer.from(`${Math.round(createdAtMs * 1000)}.${id}`).toString('base64url');
}

/**
 * The row behind which the page begins.
 * @throws {InvalidCursorError} when the text isn't a cursor.
 */
export function decodeCursor(cursor: string): { readonly createdAtUs: string; readonly id: string } {
  const [, createdAtUs, id] = FORMAT.exec(Buffer.from(cursor, 'base64url').toString()) ?? [];
  if (createdAtUs === undefined || id === undefined) throw new InvalidCursorError();
  return { createdAtUs, id };
}
