import type { OutboxIdentity } from './outbox-identity.ts';
import { type InsertRows, unnestInsert } from './unnest-insert.ts';

/** Something that happened to a breaker, as one row of `circuit_breaker_events`. Times are epoch milliseconds. */
export interface BreakerEventRow extends OutboxIdentity {
  /** UUID computed from the event, so that the same event is the same row. */
  readonly id: string;
  readonly breakerName: string;
  readonly preset: string;
  readonly eventType: 'opened' | 'closed' | 'half_open' | 'failure' | 'success';
  readonly failureCount: number;
  /** Truncated and with secrets masked by the producer. */
  readonly errorMessage: string | null;
  /** Anything JSON. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** For transitions: the breaker's epoch, with which (breaker, preset, epoch, type) is unique. Null for the others. */
  readonly breakerEpoch: number | null;
  readonly createdAtMs: number;
}

/**
 * Inserts breaker events and returns how many were new. A transition that another event has reported already is not.
 * Rejects with pg's error and inserts nothing when one row is bad: see `classifyDbError`.
 */
export const insertBreakerEvents: InsertRows<BreakerEventRow> = unnestInsert('public.circuit_breaker_events', [
  { name: 'id', type: 'uuid', read: (row) => row.id },
  { name: 'breaker_name', type: 'text', read: (row) => row.breakerName },
  { name: 'preset', type: 'text', read: (row) => row.preset },
  { name: 'event_type', type: 'text', read: (row) => row.eventType },
  { name: 'failure_count', type: 'int8', read: (row) => row.failureCount },
  { name: 'error_message', type: 'text', read: (row) => row.errorMessage },
  { name: 'metadata', type: 'jsonb', read: (row) => JSON.stringify(row.metadata) },
  { name: 'breaker_epoch', type: 'int8', read: (row) => row.breakerEpoch },
  { name: 'outbox_shard', type: 'int4', read: (row) => row.outboxShard },
  { name: 'outbox_epoch', type: 'int8', read: (row) => row.outboxEpoch },
  { name: 'outbox_seq', type: 'int8', read: (row) => row.outboxSeq },
  { name: 'created_at', type: 'epoch_ms', read: (row) => row.createdAtMs },
]);
