import { sql } from 'drizzle-orm';
import { bigint, index, integer, jsonb, text, uuid } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { createdAtMs, epochMs } from './timestamps.ts';

/** Events that Postgres refused, with the reason and the whole event, to be replayed once the cause is gone. */
export const auditDeadLetters = spillway.table(
  'audit_dead_letters',
  {
    /** The event's UUID: dead-lettering it twice leaves one row. */
    id: uuid('id').primaryKey(),
    /** The job it came in. */
    sourceJob: text('source_job').notNull(),
    /** Postgres' own words. */
    reason: text('reason').notNull(),
    /** The whole event. */
    payload: jsonb('payload').notNull(),
    createdAtMs: createdAtMs(),
    /** Null while it waits. */
    replayedAtMs: epochMs('replayed_at'),
    /** Where it was in the outbox; null for an entry that can't be read. */
    outboxShard: integer('outbox_shard'),
    outboxEpoch: bigint('outbox_epoch', { mode: 'number' }),
    outboxSeq: bigint('outbox_seq', { mode: 'number' }),
  },
  (table) => [
    index('audit_dead_letters_created_at_idx').on(table.createdAtMs, table.id),
    index('audit_dead_letters_waiting_idx')
      .on(table.createdAtMs)
      .where(sql`${table.replayedAtMs} is null`),
    index('audit_dead_letters_outbox_idx')
      .on(table.outboxShard, table.outboxEpoch, table.outboxSeq)
      .where(sql`${table.outboxSeq} is not null`),
  ],
);
