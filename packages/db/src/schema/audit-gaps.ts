import { sql } from 'drizzle-orm';
import { bigint, check, customType, index, integer, jsonb, text, uuid } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { epochMs, now } from './timestamps.ts';

/** A set of numbers, as Postgres writes it: `{[1,4),[7,8)}`. */
const int8multirange = customType<{ data: string }>({ dataType: () => 'int8multirange' });

/**
 * What the trail knows it does not hold: missing sequence numbers (shard, epoch, from_seq to to_seq, both included),
 * events dropped at the outbox's cap, blocks beyond the cap of rows per minute (`seqs` holds their numbers), epochs that ended,
 * numbers that were given out twice, and outages during which instances decided alone (no range).
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
