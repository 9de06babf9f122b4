import type { Queryable } from '../connection/connection.ts';
import { encodePayload } from './dead-letter-payload.ts';

/** An event that Postgres refused, with all that a replay needs. */
export interface DeadLetter {
  /** The event's UUID: dead-lettering it twice leaves one row. */
  readonly id: string;
  /** The job it came in. */
  readonly sourceJob: string;
  /** Postgres' own words. */
  readonly reason: string;
  /** The whole event; any JSON, including text that Postgres can't hold. */
  readonly payload: unknown;
}

const QUERY = `
  INSERT INTO spillway.audit_dead_letters (id, source_job, reason, payload)
  VALUES ($1, $2, $3, $4)
  ON CONFLICT (id) DO NOTHING`;

/** Stores a refused event; false when it is there already. `decodePayload` gives the payload back after reading. */
export async function insertDeadLetter(db: Queryable, letter: DeadLetter): Promise<boolean> {
  const { rowCount } = await db.query(QUERY, [
    letter.id,
    storable(letter.sourceJob),
    storable(letter.reason),
    encodePayload(letter.payload),
  ]);
  return rowCount === 1;
}

/** Postgres text can't hold U+0000. The last resort must not fail for the reason of the first failure. */
function storable(text: string): string {
  return text.replaceAll('\0', '\uFFFD');
}
