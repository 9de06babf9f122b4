import { noteStored, type Queryable, type StoredStretch, insertDeadLetter } from '@spillway/db';
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
 * Stores a job's entries: good ones in the tables of their types, the others as dead letters. Twice is the same as once.
 * @throws pg's errors that are not a row's fault; what was written by then may be written again.
 */
export async function writeEntries(
  db: Queryable,
  sourceJob: string,
  entries: readonly AuditEntry[],
  limits: WriteLimits = NO_LIMITS,
): Promise<WriteReport> {
  const { rejected, numbers, ...report } = await storeEntries(db, entries, limits);
  if (rejected.length > 0) await keepDeadLetters(db, sourceJob, rejected);
  // Last, so that a number that counts as stored is stored. A worker that dies before has the same job done again.
  const reusedNumbers = await noteStored(db, stretches(numbers));
  return { ...report, deadLetters: rejected.length, reusedNumbers };
}

/** Where an event stood in its outbox. */
type NumberedEvent = Pick<OutboxEvent, 'shard' | 'epoch' | 'seq' | 'entryId'>;

/** What became of some entries. */
interface StoredEntries extends Pick<WriteReport, 'written' | 'duplicates'> {
  readonly rejected: readonly Rejection[];
  /** Those with a number that could be read, stored or not. */
  readonly numbers: readonly NumberedEvent[];
}

/**
 * Stores what can be stored and gives the rest back.
 * @throws as {@link writeEntries}
 */
export async function storeEntries(
  db: Queryable,
  entries: readonly AuditEntry[],
  limits: WriteLimits = NO_LIMITS,
): Promise<StoredEntries> {
  const { batches, rejected, numbers } = readEntries(entries);
  let [written, duplicates] = [0, 0];
  for (const batch of batches) {
    const report = await batch.store(db, limits);
    written += report.written;
    duplicates += report.duplicates;
    rejected.push(...report.rejected);
  }
  return { written, duplicates, rejected, numbers };
}

/** One entry after the other: what is alive while Postgres works is copied by each collection of garbage. */
function readEntries(entries: readonly AuditEntry[]): {
  batches: Iterable<EventBatch>;
  rejected: Rejection[];
  numbers: NumberedEvent[];
} {
  const byType = new Map<string, EventBatch>();
  const rejected: Rejection[] = [];
  const numbers: NumberedEvent[] = [];
  for (const entry of entries) {
    const event = readEvent(entry);
    if (typeof event === 'string') {
      rejected.push({ entry, reason: event });
      continue;
    }
    const { type, shard, epoch, seq, entryId } = event;
    const batch = byType.get(type) ?? batchOf.get(type)?.();
    if (batch === undefined) {
      rejected.push({ entry, reason: `unknown event type ${JSON.stringify(type)}` });
      continue;
    }
    byType.set(type, batch);
    batch.add(entry, event);
    if (seq > 0) numbers.push({ shard, epoch, seq, entryId });
  }
  return { batches: byType.values(), rejected, numbers };
}

/** The event, or why there is none. */
function readEvent([shard, id, fields]: AuditEntry): OutboxEvent | string {
  try {
    return parseOutboxEntry(shard, [id, fields]);
  } catch (error) {
    return reasonOf(error);
  }
}

/** The numbers of events, as stretches of one outbox and epoch in the order of the outbox, within which they rise. */
function stretches(events: readonly NumberedEvent[]): StoredStretch[] {
  const byEpoch = new Map<string, NumberedEvent[]>();
  let [last, others] = [events[0], new Array<NumberedEvent>()];
  for (const event of events) {
    // Those of one outbox come together as a rule.
    if (others.length === 0 || event.shard !== last?.shard || event.epoch !== last.epoch) {
      const outbox = `${event.shard}/${event.epoch}`;
      others = byEpoch.get(outbox) ?? [];
      byEpoch.set(outbox, others);
      last = event;
    }
    others.push(event);
  }
  return [...byEpoch.values()].flatMap((ofEpoch) => risingStretches(inOrder(ofEpoch)));
}

function risingStretches(events: readonly NumberedEvent[]): StoredStretch[] {
  const found: StoredStretch[] = [];
  let [first] = events;
  let last = first;
  for (const event of events) {
    if (first === undefined || last === undefined) break;
    if (event.seq <= last.seq && event.entryId !== last.entryId) {
      found.push({ shard: first.shard, epoch: first.epoch, first, last });
      first = event;
    }
    last = event;
  }
  if (first !== undefined && last !== undefined) {
    found.push({ shard: first.shard, epoch: first.epoch, first, last });
  }
  return found;
}

/** By the ids of the stream's entries. Those of one read are in order already, as a rule. */
function inOrder(events: readonly NumberedEvent[]): readonly NumberedEvent[] {
  let before = events[0];
  for (const event of events) {
    if (before !== undefined && ahead(before.entryId, event.entryId) > 0) {
      return events.toSorted((one, other) => ahead(one.entryId, other.entryId));
    }
    before = event;
  }
  return events;
}

/** Compares two entries' ids, a time and a number each: as texts if these have the same lengths. */
function ahead(one: string, other: string): number {
  const [dash, otherDash] = [one.indexOf('-'), other.indexOf('-')];
  if (one.length === other.length && dash === otherDash) return one < other ? -1 : Number(one > other);
  const times = Number(one.slice(0, dash)) - Number(other.slice(0, otherDash));
  return times || Number(one.slice(dash + 1)) - Number(other.slice(otherDash + 1));
}

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
  await Promise.all(
    rejections.map(async ({ entry, reason }) => {
      const [shard, entryId, fields] = entry;
      const payload: DeadLetterPayload = { shard, entryId, fields: outboxFields(fields) };
      await insertDeadLetter(db, {
        id: deterministicUuid(entry),
        sourceJob,
        reason,
        payload,
        outbox: sequenceOf(entry),
      });
    }),
  );
}
