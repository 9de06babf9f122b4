import { noteStored, type Queryable, type StoredStretch, insertDeadLetter } from '@spillway/db';
import { parseOutboxEntry, type OutboxEvent, outboxFields } from '@spillway/redis';
import {
  eventWriter,
  reasonOf,
  type Delivery,
  type EventWriter,
  type Rejection,
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

/** The types of events that have a table. */
const writers: ReadonlyMap<string, EventWriter> = new Map(
  [
    eventWriter(blockTable),
    eventWriter(breakerTable),
    eventWriter(nearLimitTable),
    eventWriter(decisionCountsTable),
    eventWriter(outageTable),
    eventWriter(endedEpochTable),
    eventWriter(changeTable),
  ].map((writer) => [writer.type, writer]),
);

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
  const { rejected, events, ...report } = await storeEntries(db, entries, limits);
  if (rejected.length > 0) await keepDeadLetters(db, sourceJob, rejected);
  // Last, so that a number that counts as stored is stored. A worker that dies before has the same job done again.
  const reusedNumbers = await noteStored(db, stretches(events));
  return { ...report, deadLetters: rejected.length, reusedNumbers };
}

/** What became of some entries. */
interface StoredEntries extends Pick<WriteReport, 'written' | 'duplicates'> {
  readonly rejected: readonly Rejection[];
  /** All that could be read, stored or not. */
  readonly events: readonly OutboxEvent[];
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
  const { byWriter, unreadable } = sortEntries(entries);
  let [written, duplicates] = [0, 0];
  const rejected = [...unreadable];
  for (const [writer, deliveries] of byWriter) {
    const report = await writer.store(db, deliveries, limits);
    written += report.written;
    duplicates += report.duplicates;
    rejected.push(...report.rejected);
  }
  const events = [...byWriter.values()].flatMap((deliveries) => deliveries.map(({ event }) => event));
  return { written, duplicates, rejected, events };
}

function sortEntries(entries: readonly AuditEntry[]): {
  byWriter: Map<EventWriter, Delivery[]>;
  unreadable: Rejection[];
} {
  const byWriter = new Map<EventWriter, Delivery[]>();
  const unreadable: Rejection[] = [];
  for (const entry of entries) {
    const event = readEvent(entry);
    if (typeof event === 'string') {
      unreadable.push({ entry, reason: event });
      continue;
    }
    const writer = writers.get(event.type);
    if (writer === undefined) {
      unreadable.push({ entry, reason: `unknown event type ${JSON.stringify(event.type)}` });
      continue;
    }
    const deliveries = byWriter.get(writer);
    if (deliveries === undefined) byWriter.set(writer, [{ entry, event }]);
    else deliveries.push({ entry, event });
  }
  return { byWriter, unreadable };
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
export function stretches(events: readonly OutboxEvent[]): StoredStretch[] {
  const byEpoch = new Map<string, OutboxEvent[]>();
  for (const event of events) {
    if (event.seq === 0) continue;
    const outbox = `${event.shard}/${event.epoch}`;
    const others = byEpoch.get(outbox);
    if (others === undefined) byEpoch.set(outbox, [event]);
    else others.push(event);
  }
  return [...byEpoch.values()].flatMap((ofEpoch) => risingStretches(inOrder(ofEpoch)));
}

function risingStretches(events: readonly OutboxEvent[]): StoredStretch[] {
  const found: StoredStretch[] = [];
  for (const { shard, epoch, ...entry } of events) {
    const stretch = found.at(-1);
    if (stretch === undefined || (entry.seq <= stretch.last.seq && entry.entryId !== stretch.last.entryId)) {
      found.push({ shard, epoch, first: entry, last: entry });
    } else found[found.length - 1] = { ...stretch, last: entry };
  }
  return found;
}

/** By the ids of the stream's entries: a time and a number. Each is read once, and entries of one read are in order already. */
function inOrder(events: readonly OutboxEvent[]): readonly OutboxEvent[] {
  const placed = events.map((event) => {
    const [time = 0, number = 0] = event.entryId.split('-').map(Number);
    return { event, time, number };
  });
  const isAhead = (one: (typeof placed)[number], other: (typeof placed)[number]): number =>
    one.time - other.time || one.number - other.number;
  const sorted = placed.every((entry, index) => index === 0 || isAhead(placed[index - 1] ?? entry, entry) <= 0);
  return sorted ? events : placed.toSorted(isAhead).map(({ event }) => event);
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
