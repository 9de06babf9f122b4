import type { Queryable } from '@spillway/db';
import { parseOutboxEntry, type OutboxEvent } from '@spillway/redis';
import type { AuditEntry } from '../queue/audit-entry.ts';
import { blockTable } from './block-table.ts';
import { breakerTable } from './breaker-table.ts';
import { decisionCountsTable } from './decision-counts-table.ts';
import { keepDeadLetters } from './dead-letters.ts';
import { nearLimitTable } from './near-limit-table.ts';
import { eventWriter, reasonOf, type Delivery, type EventWriter, type Rejection } from './event-writer.ts';
import { outageTable } from './outage-table.ts';

/** The types of events that have a table. */
const writers: ReadonlyMap<string, EventWriter> = new Map(
  [
    eventWriter(blockTable),
    eventWriter(breakerTable),
    eventWriter(nearLimitTable),
    eventWriter(decisionCountsTable),
    eventWriter(outageTable),
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
}

/**
 * Stores a job's entries: good ones in the tables of their types, the others as dead letters. Twice is the same as once.
 * @throws pg's errors that are not a row's fault; what was written by then may be written again.
 */
export async function writeEntries(
  db: Queryable,
  sourceJob: string,
  entries: readonly AuditEntry[],
): Promise<WriteReport> {
  const { rejected, ...report } = await storeEntries(db, entries);
  if (rejected.length > 0) await keepDeadLetters(db, sourceJob, rejected);
  return { ...report, deadLetters: rejected.length };
}

/**
 * Stores what can be stored and gives the rest back.
 * @throws as {@link writeEntries}
 */
export async function storeEntries(
  db: Queryable,
  entries: readonly AuditEntry[],
): Promise<Omit<WriteReport, 'deadLetters'> & { readonly rejected: readonly Rejection[] }> {
  const { byWriter, unreadable } = sortEntries(entries);
  let [written, duplicates] = [0, 0];
  const rejected = [...unreadable];
  for (const [writer, deliveries] of byWriter) {
    const report = await writer.store(db, deliveries);
    written += report.written;
    duplicates += report.duplicates;
    rejected.push(...report.rejected);
  }
  return { written, duplicates, rejected };
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
