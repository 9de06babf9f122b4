import type { Queryable } from '../connection/connection.ts';
import { decodePayload } from './dead-letter-payload.ts';
import { epochMs, keysetList, type ListRows, type Page, type PageOptions } from './keyset-page.ts';

/** An event that Postgres refused, as it is read. Times are epoch ms. */
export interface StoredDeadLetter {
  readonly id: string;
  readonly sourceJob: string;
  /** Postgres' own words. */
  readonly reason: string;
  /** The whole event. */
  readonly payload: unknown;
  readonly createdAtMs: number;
  /** Null while it waits. */
  readonly replayedAtMs: number | null;
}

/** Which dead letters, and from where on. */
export interface ListDeadLettersOptions extends PageOptions {
  readonly sourceJob?: string;
  /** true: waits for its replay; false: was replayed. @default both */
  readonly waiting?: boolean;
}

const listStored: ListRows<StoredDeadLetter, ListDeadLettersOptions> = keysetList({
  table: 'spillway.audit_dead_letters',
  columns: `id, source_job AS "sourceJob", reason, payload,
    ${epochMs('created_at', 'createdAtMs')}, ${epochMs('replayed_at', 'replayedAtMs')}`,
  time: 'created_at',
  timeMs: ({ createdAtMs }) => createdAtMs,
  filters: [
    { type: 'text', where: (job) => `source_job = ${job}`, read: ({ sourceJob }) => sourceJob },
    { type: 'bool', where: (waiting) => `${waiting} = (replayed_at IS NULL)`, read: ({ waiting }) => waiting },
  ],
});

/** One page of dead letters, newest first, filtered; payloads are as they were given. */
export async function listDeadLetters(
  db: Queryable,
  options?: ListDeadLettersOptions,
): Promise<Page<StoredDeadLetter>> {
  const { rows, next } = await listStored(db, options);
  return { rows: rows.map((row) => Object.assign(row, { payload: decodePayload(row.payload) })), next };
}
