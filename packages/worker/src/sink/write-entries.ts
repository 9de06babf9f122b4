import { noteStored, type Queryable, type StoredStretch, insertDeadLetters } from '@spillway/db';
import { parseOutboxEntry, type OutboxEvent, outboxFields } from '@spillway/redis';
import { eventBatch, type EventBatch, reasonOf, type Rejection, type WriteLimits } from './event-writer.ts';
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

/** What a job came to. */
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

/** Every block becomes a row. */
const NO_LIMITS: WriteLimits = { blockRowsPerMinute: null };

/**
 * Stores entries, those of each outbox in its order: good ones in the tables of their types, the others as dead letters. Twice is
 * the same as once.
 * @throws pg's errors that are not a row's fault; what was written by then may be written again.
 */
export async function writeEntries(
  db: Queryable,
  sourceJob: string,
  entries: readonly AuditEntry[],
  limits: WriteLimits = NO_LIMITS,
): Promise<WriteReport> {
  const { rejected, stretches, ...report } = await storeEntries(db, entries, limits);
  if (rejected.length > 0) await keepDeadLetters(db, sourceJob, rejected);
  // Last, so that a number that counts as stored is stored. A worker that dies before has the same job done again.
  const reusedNumbers = await noteStored(db, stretches);
  return { ...report, deadLetters: rejected.length, reusedNumbers };
}

/** What became of some entries. */
interface StoredEntries extends Pick<WriteReport, 'written' | 'duplicates'> {
  readonly rejected: readonly Rejection[];
  /** The numbers that could be read, stored or not. */
  readonly stretches: readonly StoredStretch[];
}

/**
 * Stores what can be stored and gives the rest back. Where nothing can be stored no event is set aside: then it isn't its fault.
 * @throws as {@link writeEntries}
 */
export async function storeEntries(
  db: Queryable,
  entries: readonly AuditEntry[],
  limits: WriteLimits = NO_LIMITS,
): Promise<StoredEntries> {
  const { batches, rejected, stretches } = readEntries(entries);
  let [written, duplicates] = [0, 0];
  for (const batch of batches) {
    const report = await batch.store(db, limits);
    written += report.written;
    duplicates += report.duplicates;
    rejected.push(...report.rejected);
  }
  const setAside = rejected.find(({ error }) => error !== undefined);
  if (setAside !== undefined && written + duplicates === 0) throw setAside.error;
  return { written, duplicates, rejected, stretches };
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
