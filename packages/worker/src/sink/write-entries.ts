import { noteStored, type Queryable, type StoredStretch, insertDeadLetters } from '@spillway/db';
import { parseOutboxEntry, type OutboxEvent, outboxFields } from '@spillway/redis';
import {
  eventBatch,
  type EventBatch,
  reasonOf,
  type Rejection,
  type WaitingEvents,
  type WriteLimits,
} from './event-writer.ts';
import { type AuditEntry, deterministicUuid, sequenceOf } from '../outbox.ts';
import {
  blockTable,
  breakerTable,
  nearLimitTable,
  decisionCountsTable,
  outageTable,
  endedEpochTable,
  changeTable,
} from './event-tables.ts';

/** Makes an empty batch for each type of events that has a table. */
const batchOf: ReadonlyMap<string, () => EventBatch> = new Map([
  [blockTable.type, () => eventBatch(blockTable)],
  [breakerTable.type, () => eventBatch(breakerTable)],
  [nearLimitTable.type, () => eventBatch(nearLimitTable)],
  [decisionCountsTable.type, () => eventBatch(decisionCountsTable)],
  [outageTable.type, () => eventBatch(outageTable)],
  [endedEpochTable.type, () => eventBatch(endedEpochTable)],
  [changeTable.type, () => eventBatch(changeTable)],
]);

/** What some entries came to. */
export interface WriteReport {
  /** Rows that were new or changed. */
  readonly written: number;
  /** Rows that were there already: deliveries that changed nothing. */
  readonly duplicates: number;
  /** Entries that were refused and are in `audit_dead_letters` now. */
  readonly deadLetters: number;
  /** Stretches of numbers that had been given to earlier events already, by a Redis that failed over or restarted. */
  readonly reusedNumbers: number;
}

/** What became of some entries. */
interface StoredEntries extends Pick<WriteReport, 'written' | 'duplicates'> {
  /** Those that are to become dead letters. */
  readonly rejected: readonly Rejection[];
  /** Those that can't be stored now. */
  readonly waiting: readonly WaitingEvents[];
  /** The types of which rows were stored. */
  readonly types: readonly string[];
  /** Whether Postgres took too long for several rows at once. */
  readonly timedOut: boolean;
}

/** Entries that were written, and those that were not. */
export interface WrittenEntries extends WriteReport, Omit<StoredEntries, 'rejected'> {
  /** The entries that are rows or dead letters now. */
  readonly entries: readonly AuditEntry[];
}

/** Every block becomes a row. */
const NO_LIMITS: WriteLimits = { blockRowsPerMinute: null };

/**
 * Stores entries, those of each outbox in its order: good ones in the tables of their types, those at fault as dead letters. What can't
 * be stored for a reason that may pass is given back. Twice is the same as once.
 * @param faults types whose tables take nothing, with the error: their events aren't tried. Those that are found are added.
 * @throws errors of a Postgres that can take no rows at all; what was written by then may be written again.
 */
export async function writeEntries(
  db: Queryable,
  sourceJob: string,
  entries: readonly AuditEntry[],
  limits: WriteLimits = NO_LIMITS,
  faults: Map<string, unknown> = new Map(),
): Promise<WrittenEntries> {
  const { batches, rejected: unreadable, stretches } = readEntries(entries);
  const { rejected, ...report } = await storeBatches(db, batches, limits, faults);
  const refused = [...unreadable, ...rejected];
  if (refused.length > 0) await keepDeadLetters(db, sourceJob, refused);
  const waiting = new Set(report.waiting.flatMap((events) => events.entries));
  const gone = waiting.size === 0 ? entries : entries.filter((entry) => !waiting.has(entry));
  // Last, so that a number that counts as stored is stored. A worker that dies before has the same job done again.
  const reusedNumbers = await noteStored(db, waiting.size === 0 ? stretches : readEntries(gone).stretches);
  return { ...report, deadLetters: refused.length, reusedNumbers, entries: gone };
}

/**
 * Stores what can be stored and gives the rest back.
 * @throws as {@link writeEntries}
 */
export async function storeEntries(db: Queryable, entries: readonly AuditEntry[]): Promise<StoredEntries> {
  const { batches, rejected: unreadable } = readEntries(entries);
  const { rejected, ...report } = await storeBatches(db, batches, NO_LIMITS, new Map());
  return { ...report, rejected: [...unreadable, ...rejected] };
}

async function storeBatches(
  db: Queryable,
  batches: Iterable<EventBatch>,
  limits: WriteLimits,
  faults: Map<string, unknown>,
): Promise<StoredEntries> {
  const rejected: Rejection[] = [];
  const waiting: WaitingEvents[] = [];
  const types: string[] = [];
  let [written, duplicates, timedOut] = [0, 0, false];
  for (const batch of batches) {
    const { type } = batch;
    const report = faults.has(type) ? batch.wait(faults.get(type)) : await batch.store(db, limits);
    written += report.written;
    duplicates += report.duplicates;
    timedOut ||= report.timedOut;
    rejected.push(...report.rejected);
    if (report.written + report.duplicates > 0) types.push(type);
    if (report.waiting === undefined) continue;
    waiting.push(report.waiting);
    if (report.waiting.all) faults.set(type, report.waiting.error);
  }
  return { written, duplicates, timedOut, rejected, waiting, types };
}

/** One entry after the other: what is alive while Postgres works is copied by each collection of garbage. */
function readEntries(entries: readonly AuditEntry[]): {
  batches: Iterable<EventBatch>;
  rejected: Rejection[];
  stretches: readonly StoredStretch[];
} {
  const byType = new Map<string, EventBatch>();
  const rejected: Rejection[] = [];
  const stretches = new Stretches();
  for (const entry of entries) {
    const event = readEvent(entry);
    if (typeof event === 'string') {
      rejected.push({ entry, reason: event });
      continue;
    }
    const { type } = event;
    const batch = byType.get(type) ?? batchOf.get(type)?.();
    if (batch === undefined) {
      rejected.push({ entry, reason: `unknown event type ${JSON.stringify(type)}` });
      continue;
    }
    byType.set(type, batch);
    batch.add(entry, event);
    if (event.seq > 0) stretches.add(event);
  }
  return { batches: byType.values(), rejected, stretches: stretches.all() };
}

/** The event, or why there is none. */
function readEvent([shard, id, fields]: AuditEntry): OutboxEvent | string {
  try {
    return parseOutboxEntry(shard, [id, fields]);
  } catch (error) {
    return reasonOf(error);
  }
}

/**
 * The numbers of events, as stretches of one outbox and epoch within which they rise. The entries of an outbox come in its order, and
 * one after the other, so that only the last stretch is looked at for most of them.
 */
class Stretches {
  readonly #all: Growing[] = [];
  readonly #lastOf = new Map<string, Growing>();
  #last: Growing | undefined;

  add({ shard, epoch, seq, entryId }: OutboxEvent): void {
    let last = this.#last;
    if (last?.shard !== shard || last.epoch !== epoch) last = this.#lastOf.get(`${shard}/${epoch}`);
    if (last !== undefined && (seq > last.last.seq || entryId === last.last.entryId)) {
      last.last = { seq, entryId };
    } else {
      const one = { seq, entryId };
      last = { shard, epoch, first: one, last: one };
      this.#all.push(last);
      this.#lastOf.set(`${shard}/${epoch}`, last);
    }
    this.#last = last;
  }

  all(): readonly StoredStretch[] {
    return this.#all;
  }
}

type Growing = Omit<StoredStretch, 'last'> & { last: StoredStretch['last'] };

/** What `audit_dead_letters.payload` holds of an entry: all of it, so that it can be replayed. */
export interface DeadLetterPayload {
  readonly shard: number;
  readonly entryId: string;
  /** Names and values in turn. */
  readonly fields: readonly string[];
}

/**
 * Keeps entries that can't be stored, whole and with the reason. The id is computed from the entry, so that a second
 * delivery adds nothing.
 *
 * @param sourceJob the job that delivered them, for the investigation.
 */
export async function keepDeadLetters(
  db: Queryable,
  sourceJob: string,
  rejections: readonly Rejection[],
): Promise<void> {
  await insertDeadLetters(
    db,
    rejections.map(({ entry, reason }) => {
      const [shard, entryId, fields] = entry;
      const payload: DeadLetterPayload = { shard, entryId, fields: outboxFields(fields) };
      return { id: deterministicUuid(entry), sourceJob, reason, payload, outbox: sequenceOf(entry) };
    }),
  );
}
