import { sql } from 'drizzle-orm';
import { bigint, index, integer, jsonb, text, uuid } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { createdAtMs } from './timestamps.ts';

/**
 * What people changed by hand: policies, overrides, lists, keys, blocks, breakers, maintenance. Rows are only added. The writer
 * computes `id`, so that inserting twice changes nothing. The outbox columns are null for changes that Postgres alone knows of.
 */
export const changes = spillway.table(
  'changes',
  {
    id: uuid('id').primaryKey(),
    createdAtMs: createdAtMs(),
    /** Who: a key's name and id, a token's subject, or a user of the machine. */
    actor: text('actor').notNull(),
    /** What was done: `set_policy`, `unblock`, `force_open`, `revoke_key`. */
    action: text('action').notNull(),
    /** The kind of thing it was done to: `policy`, `override`, `list`, `key`, `block`, `breaker`, `job`. */
    objectKind: text('object_kind').notNull(),
    /** Which of them. */
    object: text('object').notNull(),
    /** As it was; null when there was none. Never a secret. */
    before: jsonb('before'),
    /** As it is; null when it was removed. Never a secret. */
    after: jsonb('after'),
    /** Why, in the actor's words. */
    note: text('note'),
    outboxShard: integer('outbox_shard'),
    outboxEpoch: bigint('outbox_epoch', { mode: 'number' }),
    outboxSeq: bigint('outbox_seq', { mode: 'number' }),
  },
  (table) => [
    // Keyset pagination, newest first.
    index('changes_created_at_idx').on(table.createdAtMs, table.id),
    // The history of one thing.
    index('changes_object_idx').on(table.objectKind, table.object, table.createdAtMs),
    index('changes_outbox_idx')
      .on(table.outboxShard, table.outboxEpoch, table.outboxSeq)
      .where(sql`${table.outboxSeq} is not null`),
  ],
);
