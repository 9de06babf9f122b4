import { bigint, integer, primaryKey } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { timestamptz } from './timestamps.ts';

/**
 * How far the trail of an outbox has been cleaned: some events up to `through_seq` were stored and deleted by age since.
 * Whoever looks for missing numbers looks above it only. Written in the transaction that deletes.
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
