import type { KnownSeq } from './find-missing.ts';
import type { Queryable } from '../connection.ts';

const NOTE_STORED = `
  SELECT spillway.note_stored($1::int4[], $2::int8[], $3::int8[], $4::text[], $5::int8[], $6::text[])::int AS reused`;
const NOTE_SEEN = 'SELECT spillway.note_seen($1::int4[], $2::int8[], $3::int8[])';
const END_EPOCHS = `
  SELECT spillway.end_epochs($1::uuid[], $2::int4[], $3::int8[], $4::int8[], $5::jsonb[], $6::uuid[], $7::int8[])::int AS changed`;

/** One event's number in its outbox, and the id of the outbox entry that had it. */
export interface NumberedEntry {
  readonly seq: number;
  readonly entryId: string;
}

/** Stored entries of one outbox and epoch, with rising numbers, by their first and their last. */
export interface StoredStretch {
  readonly shard: number;
  readonly epoch: number;
  readonly first: NumberedEntry;
  readonly last: NumberedEntry;
}

/**
 * Keeps the highest number of each outbox and epoch that is stored, in `spillway.audit_epochs`. Stretches of one outbox and
 * epoch are given in the order of the outbox. A stretch that begins at or below a number of an earlier entry has numbers that
 * a failover or a restart of Redis assigned twice: `audit_gaps` has them as `seq_reused`.
 * @returns how many stretches had such numbers.
 */
export async function noteStored(db: Queryable, stretches: readonly StoredStretch[]): Promise<number> {
  if (stretches.length === 0) return 0;
  const { rows } = await db.query<{ reused: number }>(NOTE_STORED, [
    stretches.map(({ shard }) => shard),
    stretches.map(({ epoch }) => epoch),
    stretches.map(({ first }) => first.seq),
    stretches.map(({ first }) => first.entryId),
    stretches.map(({ last }) => last.seq),
    stretches.map(({ last }) => last.entryId),
  ]);
  return rows[0]?.reused ?? 0;
}

/** Keeps the highest number of each outbox and epoch that was seen assigned, stored or not. */
export async function noteSeen(db: Queryable, seen: readonly KnownSeq[]): Promise<void> {
  if (seen.length === 0) return;
  await db.query(NOTE_SEEN, [
    seen.map(({ shard }) => shard),
    seen.map(({ epoch }) => epoch),
    seen.map(({ seq }) => seq),
  ]);
}

/** An epoch of an outbox that is over, as a row of `audit_gaps` of kind `epoch_ended`. */
export interface EndedEpochRow {
  /** UUID computed from shard and epoch. */
  readonly id: string;
  readonly shard: number;
  readonly epoch: number;
  /** The highest number that was seen assigned in it; 0 if none was. */
  readonly seenSeq: number;
  /** Is added to what the row says already. */
  readonly detail: Readonly<Record<string, unknown>>;
  /** Events that a full outbox refused in it, and the id of the row of kind `dropped`; null when that isn't known. */
  readonly dropped: { readonly id: string; readonly count: number } | null;
}

/** Writes them. Each id at most once a call. @returns how many rows were new or changed. */
export async function endEpochs(db: Queryable, ended: readonly EndedEpochRow[]): Promise<number> {
  if (ended.length === 0) return 0;
  const { rows } = await db.query<{ changed: number }>(END_EPOCHS, [
    ended.map(({ id }) => id),
    ended.map(({ shard }) => shard),
    ended.map(({ epoch }) => epoch),
    ended.map(({ seenSeq }) => seenSeq),
    ended.map(({ detail }) => JSON.stringify(detail)),
    ended.map(({ dropped }) => dropped?.id ?? null),
    ended.map(({ dropped }) => dropped?.count ?? null),
  ]);
  return rows[0]?.changed ?? 0;
}

/** Where an event stood in the outbox; the source of its primary key. */
export interface OutboxIdentity {
  /** Number of the hash-tag shard. */
  readonly outboxShard: number;
  /** Epoch of the shard's sequence counter; grows when the counter restarts. */
  readonly outboxEpoch: number;
  /** Sequence number within the epoch, from 1, without gaps. */
  readonly outboxSeq: number;
}
