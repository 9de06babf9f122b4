import { primaryKey, text } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { timestamptz } from './timestamps.ts';

/**
 * Partitions on their way from a live table into its archive. A row is written before the partition is detached and deleted
 * with the transaction that attaches it, so that a table which belongs to neither is known after a crash.
 */
export const partitionMoves = spillway.table(
  'partition_moves',
  {
    partitionSchema: text('partition_schema').notNull(),
    partitionName: text('partition_name').notNull(),
    sourceSchema: text('source_schema').notNull(),
    sourceName: text('source_name').notNull(),
    targetSchema: text('target_schema').notNull(),
    targetName: text('target_name').notNull(),
    /** `FOR VALUES FROM (…) TO (…)`, as read in UTC. */
    bound: text('bound').notNull(),
    begunAt: timestamptz('begun_at').notNull().defaultNow(),
  },
  (table) => [primaryKey({ name: 'partition_moves_pkey', columns: [table.partitionSchema, table.partitionName] })],
);
