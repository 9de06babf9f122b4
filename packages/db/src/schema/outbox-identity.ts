import { bigint, integer } from 'drizzle-orm/pg-core';

/**
 * Where an event was in the outbox: its shard, the epoch of that shard's sequence counter, and its sequence number.
 * Rows that only the outbox makes carry all three; the reconcile reads them to find what is missing.
 * Their index is deliberately not unique: the primary key is computed from these three and the event's time.
 */
export const outboxIdentity = () => ({
  outboxShard: integer('outbox_shard').notNull(),
  outboxEpoch: bigint('outbox_epoch', { mode: 'number' }).notNull(),
  outboxSeq: bigint('outbox_seq', { mode: 'number' }).notNull(),
});
