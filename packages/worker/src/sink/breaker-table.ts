import { type BreakerEvent, parseBreakerEvent } from '@spillway/breaker/events';
import { type BreakerEventRow, insertBreakerEvents } from '@spillway/db';
import { type EventTable, withoutNul } from './event-writer.ts';

/**
 * Events of type `breaker`, one row each. A transition is one row, whichever instance reports it, identified by preset, name, epoch and type;
 * the others are known by their place in the outbox.
 */
export const breakerTable: EventTable<BreakerEventRow> = {
  type: 'breaker',
  parse: (event) => toRow(parseBreakerEvent(event)),
  idOf: (row) => row.id,
  // An event happens once; two of one id are the same delivered twice.
  merge: (one) => one,
  write: insertBreakerEvents,
};

function toRow(event: BreakerEvent): BreakerEventRow {
  return {
    id: event.id,
    breakerName: event.breakerName,
    preset: event.preset,
    eventType: event.eventType,
    failureCount: event.failureCount,
    errorMessage: event.errorMessage === null ? null : withoutNul(event.errorMessage),
    metadata: metadataWithoutNul(event.metadata),
    breakerEpoch: event.breakerEpoch,
    outboxShard: event.shard,
    outboxEpoch: event.epoch,
    outboxSeq: event.seq,
    createdAtMs: event.atMs,
  };
}

function metadataWithoutNul(metadata: BreakerEvent['metadata']): BreakerEvent['metadata'] {
  const entries = Object.entries(metadata);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value === 'string' ? withoutNul(value) : value]),
  );
}
