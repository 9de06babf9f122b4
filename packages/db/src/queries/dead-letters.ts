import type { Queryable } from '../connection/connection.ts';
import { decodePayload } from './dead-letter-payload.ts';

/** Which dead letters are meant; all that wait, when nothing is said. */
export interface DeadLetterFilter {
  readonly ids?: readonly string[] | undefined;
  /** Kept at or after this moment. */
  readonly from?: Date | undefined;
  /** Kept before this moment. */
  readonly to?: Date | undefined;
}

/** A dead letter that was taken for a replay. */
export interface WaitingLetter {
  readonly id: string;
  readonly payload: unknown;
}

const LIST = `
  SELECT id FROM spillway.audit_dead_letters
  WHERE replayed_at IS NULL AND ($1::uuid[] IS NULL OR id = ANY ($1))
    AND ($2::timestamptz IS NULL OR created_at >= $2) AND ($3::timestamptz IS NULL OR created_at < $3)
  ORDER BY created_at, id`;

const TAKE =
  'SELECT payload FROM spillway.audit_dead_letters WHERE id = $1 AND replayed_at IS NULL FOR UPDATE SKIP LOCKED';
const MARK = 'UPDATE spillway.audit_dead_letters SET replayed_at = now() WHERE id = $1';
const PAYLOADS = `
  SELECT id, payload FROM spillway.audit_dead_letters
  WHERE replayed_at IS NULL AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2`;

/** The ids of the letters that wait for a replay, oldest first. */
export async function waitingDeadLetters(db: Queryable, { ids, from, to }: DeadLetterFilter): Promise<string[]> {
  const { rows } = await db.query<{ id: string }>(LIST, [ids ?? null, from ?? null, to ?? null]);
  return rows.map(({ id }) => id);
}

/** Locks a letter until the end of the transaction; undefined when it was replayed, or is somebody else's just now. */
export async function takeDeadLetter(db: Queryable, id: string): Promise<WaitingLetter | undefined> {
  const { rows } = await db.query<{ payload: unknown }>(TAKE, [id]);
  const [row] = rows;
  return row && { id, payload: decodePayload(row.payload) };
}

/** Says that a letter's event is where it belongs now. */
export async function markReplayed(db: Queryable, id: string): Promise<void> {
  await db.query(MARK, [id]);
}

/** Letters that are read at once; each may hold a whole event. */
const PAGE = 500;

/** What the letters hold that wait for a replay, page by page. An event that was replayed is in its table. */
export async function* waitingPayloads(db: Queryable): AsyncGenerator<unknown[]> {
  let after: string | null = null;
  for (;;) {
    const { rows }: { rows: { id: string; payload: unknown }[] } = await db.query<{ id: string; payload: unknown }>(
      PAYLOADS,
      [after, PAGE],
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows.map(({ payload }) => decodePayload(payload));
    after = last.id;
  }
}
