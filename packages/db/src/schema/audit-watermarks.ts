import { bigint, integer, primaryKey, text } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { timestamptz } from './timestamps.ts';

/**
 * How far the numbers of an outbox need no look any more: each up to `through_seq` was found or reported missing by a reconcile, or
 * was deleted by age. The reconcile reads the numbers above. Written by the reconcile, and in the transaction that deletes.
 */
export const auditWatermarks = spillway.table(
  'audit_watermarks',
  {
    shard: integer('shard').notNull(),
    epoch: bigint('epoch', { mode: 'number' }).notNull(),
    throughSeq: bigint('through_seq', { mode: 'number' }).notNull(),
    updatedAt: timestamptz('updated_at').notNull().defaultNow(),
  },
  (table) => [primaryKey({ name: 'audit_watermarks_pkey', columns: [table.shard, table.epoch] })],
);

/**
 * How far the numbers of an outbox have come, kept where no failover of Redis reaches: `stored_seq` is the highest one that is
 * stored, `stored_entry` the id of its outbox entry, and `seen_seq` the highest that a worker saw given out. Numbers above
 * `stored_seq` of an epoch that is over are lost. The migration adds `fillfactor = 50`: each batch of the sink changes a row
 * an outbox.
 */
export const auditEpochs = spillway.table(
  'audit_epochs',
  {
    shard: integer('shard').notNull(),
    epoch: bigint('epoch', { mode: 'number' }).notNull(),
    storedSeq: bigint('stored_seq', { mode: 'number' }).notNull().default(0),
    storedEntry: text('stored_entry').notNull().default('0-0'),
    seenSeq: bigint('seen_seq', { mode: 'number' }).notNull().default(0),
    updatedAt: timestamptz('updated_at').notNull().defaultNow(),
  },
  (table) => [primaryKey({ name: 'audit_epochs_pkey', columns: [table.shard, table.epoch] })],
);
