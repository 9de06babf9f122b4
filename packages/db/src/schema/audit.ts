import { sql } from 'drizzle-orm';
import { bigint, index, integer, jsonb, text, uuid, check, customType, primaryKey } from 'drizzle-orm/pg-core';
import { spillway, createdAtMs, epochMs, now, timestamptz } from './columns.ts';

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

/** A set of numbers, as Postgres writes it: `{[1,4),[7,8)}`. */
const int8multirange = customType<{ data: string }>({ dataType: () => 'int8multirange' });

/**
 * What the trail knows it does not hold: missing sequence numbers (shard, epoch, from_seq to to_seq, both included),
 * events dropped at the outbox's cap, blocks beyond the cap of rows per minute (`seqs` holds their numbers), epochs that
 * ended, numbers that were assigned twice, and outages during which instances decided alone (no range).
 * `kind` is free text, so that a new producer needs no migration. The outbox columns are null for rows that the
 * reconcile found, since no outbox entry made them.
 */
export const auditGaps = spillway.table(
  'audit_gaps',
  {
    id: uuid('id').primaryKey(),
    kind: text('kind').notNull(),
    shard: integer('shard'),
    epoch: bigint('epoch', { mode: 'number' }),
    /** First and last missing sequence number, both included; null for a gap without a range. */
    fromSeq: bigint('from_seq', { mode: 'number' }),
    toSeq: bigint('to_seq', { mode: 'number' }),
    seqs: int8multirange('seqs'),
    detail: jsonb('detail').$type<Readonly<Record<string, unknown>>>().notNull().default({}),
    detectedAtMs: epochMs('detected_at').notNull().default(now),
    /** Null while it is open. */
    resolvedAtMs: epochMs('resolved_at'),
    outboxShard: integer('outbox_shard'),
    outboxEpoch: bigint('outbox_epoch', { mode: 'number' }),
    outboxSeq: bigint('outbox_seq', { mode: 'number' }),
  },
  (table) => [
    check('audit_gaps_range_check', sql`${table.fromSeq} <= ${table.toSeq}`),
    index('audit_gaps_detected_at_idx').on(table.detectedAtMs),
    index('audit_gaps_unresolved_idx')
      .on(table.kind, table.detectedAtMs)
      .where(sql`${table.resolvedAtMs} is null`),
    index('audit_gaps_outbox_idx')
      .on(table.outboxShard, table.outboxEpoch, table.outboxSeq)
      .where(sql`${table.outboxSeq} is not null`),
    index('audit_gaps_range_idx')
      .on(table.shard, table.epoch, table.toSeq)
      .where(sql`${table.fromSeq} is not null`),
  ],
);

/**
 * How far the numbers of an outbox are examined: each up to `through_seq` was found or reported missing by a reconcile, or
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
 * How far the numbers of an outbox have come, kept where no failover of Redis reaches: `stored_seq` is the highest one that
 * is stored, `stored_entry` the id of its outbox entry, and `seen_seq` the highest that a worker saw assigned. Numbers above
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
