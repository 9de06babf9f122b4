import { and, asc, count, eq, gte, isNotNull, isNull, lt, type SQL, sql } from 'drizzle-orm';
import { equals, type Page, type PageOptions, readPage, when } from '../query/keyset-page.ts';
import { anyOf, columnsOf, typed } from '../query/typed.ts';
import { auditDeadLetters } from '../schema/audit.ts';
import type { KnownSeq } from './find-missing.ts';
import type { Queryable } from '../connection.ts';

const { id, sourceJob, createdAtMs, replayedAtMs } = auditDeadLetters;
const { outboxShard: _shard, outboxEpoch: _epoch, outboxSeq: _seq, ...columns } = columnsOf(auditDeadLetters);

/** An event that Postgres refused, with all that a replay needs. */
export interface DeadLetter extends Omit<StoredDeadLetter, 'createdAtMs' | 'replayedAtMs'> {
  /** Where it was in the outbox; the reconcile does not miss it then. @default unknown: the entry can't be read, or has no number */
  readonly outbox?: KnownSeq | undefined;
}

/** An event that Postgres refused, as it is read. Times are epoch ms. */
export type StoredDeadLetter = Readonly<
  Omit<typeof auditDeadLetters.$inferSelect, 'outboxShard' | 'outboxEpoch' | 'outboxSeq'>
>;

/** Letters of one statement, which has seven parameters for each. */
const LETTERS_AT_ONCE = 500;

/**
 * Stores refused events, one statement after the other; returns how many were not there already.
 * `decodePayload` gives a payload back after reading.
 */
export async function insertDeadLetters(db: Queryable, letters: readonly DeadLetter[]): Promise<number> {
  let added = 0;
  for (let from = 0; from < letters.length; from += LETTERS_AT_ONCE) {
    const rows = letters.slice(from, from + LETTERS_AT_ONCE).map((letter) => ({
      id: letter.id,
      sourceJob: storable(letter.sourceJob),
      reason: storable(letter.reason),
      payload: sql`${encodePayload(letter.payload)}::jsonb`,
      outboxShard: letter.outbox?.shard,
      outboxEpoch: letter.outbox?.epoch,
      outboxSeq: letter.outbox?.seq,
    }));
    const { rowCount } = await typed(db).insert(auditDeadLetters).values(rows).onConflictDoNothing({ target: id });
    added += rowCount ?? 0;
  }
  return added;
}

/** Postgres text can't hold U+0000. The last resort must not fail for the reason of the first failure. */
function storable(text: string): string {
  return text.replaceAll('\0', '\uFFFD');
}

/** Which dead letters, and from where on. */
export interface ListDeadLettersOptions extends PageOptions {
  readonly sourceJob?: string;
  /** true: waits for its replay; false: was replayed. @default both */
  readonly waiting?: boolean;
}

/** One page of dead letters, newest first, filtered; payloads are as they were given. */
export async function listDeadLetters(
  db: Queryable,
  options: ListDeadLettersOptions = {},
): Promise<Page<StoredDeadLetter>> {
  const { rows, next } = await readPage(auditDeadLetters, 'createdAtMs', options, async (page) =>
    typed(db)
      .select(columns)
      .from(auditDeadLetters)
      .where(
        and(
          page.where,
          equals(sourceJob, options.sourceJob),
          when(options.waiting, (waiting) => (waiting ? isNull(replayedAtMs) : isNotNull(replayedAtMs))),
        ),
      )
      .orderBy(...page.orderBy)
      .limit(page.limit),
  );
  return { rows: rows.map((row) => Object.assign(row, { payload: decodePayload(row.payload) })), next };
}

/** One dead letter; undefined when there is none of this id. */
export async function readDeadLetter(db: Queryable, letterId: string): Promise<StoredDeadLetter | undefined> {
  const [row] = await typed(db).select(columns).from(auditDeadLetters).where(eq(id, letterId));
  return row && Object.assign(row, { payload: decodePayload(row.payload) });
}

/** Which dead letters a replay takes. Absent members select nothing away: without any, all that wait are selected. */
export interface DeadLetterSelection {
  readonly ids?: readonly string[] | undefined;
  readonly sourceJob?: string | undefined;
  /** Kept at or after this time, in epoch ms. */
  readonly sinceMs?: number | undefined;
  /** Kept before this time, in epoch ms. */
  readonly untilMs?: number | undefined;
}

function waitingOf({ ids, sourceJob: from, sinceMs, untilMs }: DeadLetterSelection): SQL | undefined {
  return and(
    isNull(replayedAtMs),
    when(ids, (some) => anyOf(id, some)),
    equals(sourceJob, from),
    when(sinceMs, (ms) => gte(createdAtMs, ms)),
    when(untilMs, (ms) => lt(createdAtMs, ms)),
  );
}

/** The ids of the selected letters that wait for a replay, oldest first, and how many there are in all. */
export async function waitingDeadLetters(
  db: Queryable,
  selection: DeadLetterSelection,
  limit: number,
): Promise<{ readonly ids: readonly string[]; readonly total: number }> {
  const where = waitingOf(selection);
  const rows = await typed(db)
    .select({ id })
    .from(auditDeadLetters)
    .where(where)
    .orderBy(asc(createdAtMs), asc(id))
    .limit(limit);
  const ids = rows.map((row) => row.id);
  if (ids.length < limit) return { ids, total: ids.length };
  const [all] = await typed(db).select({ total: count() }).from(auditDeadLetters).where(where);
  return { ids, total: Math.max(all?.total ?? 0, ids.length) };
}

/** Those of the ids that are letters which were replayed. */
export async function replayedDeadLetters(db: Queryable, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await typed(db)
    .select({ id })
    .from(auditDeadLetters)
    .where(and(anyOf(id, ids), isNotNull(replayedAtMs)));
  return new Set(rows.map((row) => row.id));
}

/** A dead letter that was taken for a replay. */
export type WaitingLetter = Pick<StoredDeadLetter, 'id' | 'payload'>;

/** Locks a letter until the end of the transaction, after another replay that has it; undefined when it was replayed. */
export async function takeDeadLetter(db: Queryable, letterId: string): Promise<WaitingLetter | undefined> {
  const [row] = await typed(db)
    .select({ payload: columns.payload })
    .from(auditDeadLetters)
    .where(and(eq(id, letterId), isNull(replayedAtMs)))
    .for('update');
  return row && { id: letterId, payload: decodePayload(row.payload) };
}

/** Marks a letter's event as stored. */
export async function markReplayed(db: Queryable, letterId: string): Promise<void> {
  await typed(db)
    .update(auditDeadLetters)
    .set({ replayedAtMs: sql`now()` })
    .where(eq(id, letterId));
}

/**
 * jsonb can't hold every JSON text: U+0000 and halves of surrogate pairs are error 22P05. Just these are likely in a dead letter,
 * since text with U+0000 is refused by every other column too. Such a payload is wrapped, unreadable in psql but whole.
 */
const WRAPPER = 'spillway:base64-json';

/** The escapes in which JSON.stringify writes what jsonb refuses. An escaped backslash before them wraps needlessly, no more. */
const REFUSED = /\\u0000|\\ud[89a-f]/iu;

/** JSON text that jsonb takes, of any value that JSON.stringify takes; undefined becomes null. */
function encodePayload(payload: unknown): string {
  const json = JSON.stringify(payload ?? null);
  return REFUSED.test(json) ? JSON.stringify({ [WRAPPER]: Buffer.from(json).toString('base64') }) : json;
}

/** The payload as it was given, from what pg returns for the column. */
export function decodePayload(stored: unknown): unknown {
  if (typeof stored !== 'object' || stored === null) return stored;
  const wrapped: unknown = Reflect.get(stored, WRAPPER);
  if (typeof wrapped !== 'string') return stored;
  return JSON.parse(Buffer.from(wrapped, 'base64').toString());
}
