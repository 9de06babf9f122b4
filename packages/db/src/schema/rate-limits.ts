import { bigint, check, index, text, uuid } from 'drizzle-orm/pg-core';
import { blockModes, oneOf } from './enumerations.ts';
import { outboxIdentity } from './outbox-identity.ts';
import { publicSchema } from './schemas.ts';
import { createdAtMs, epochMs, now } from './timestamps.ts';

/**
 * One row per block. The writer computes `id` from the event, so that inserting twice changes nothing.
 * `blocked_until` is 'infinity' for a block without end. The migration adds what drizzle can't
 * say: `fillfactor = 90`, since the cumulative `denied_count` is written later and room on the page lets that update touch no
 * index; and autovacuum settings.
 */
export const rateLimitsV2 = publicSchema.table(
  'rate_limits_v2',
  {
    /** UUID computed from the event, so that the same event is the same row. */
    id: uuid('id').primaryKey(),
    /** The limiter's key in Redis. */
    key: text('key').notNull(),
    /** The policy's name; in the guide's words the tier. */
    tier: text('tier').notNull(),
    action: text('action').notNull(),
    /** Who was blocked: the subject. */
    identifier: text('identifier').notNull(),
    limitCount: bigint('limit_count', { mode: 'number' }).notNull(),
    windowMs: bigint('window_ms', { mode: 'number' }).notNull(),
    /** Cost admitted in the window when the block began. */
    requestCount: bigint('request_count', { mode: 'number' }).notNull(),
    /** Requests refused during the block so far. */
    deniedCount: bigint('denied_count', { mode: 'number' }).notNull().default(0),
    windowStartMs: epochMs('window_start').notNull(),
    lastRequestAtMs: epochMs('last_request_at').notNull(),
    /** `Infinity` for a block without end. */
    blockedUntilMs: epochMs('blocked_until').notNull(),
    /** `shadow`: recorded only, the request passed. */
    mode: text('mode', { enum: blockModes }).notNull().default('enforce'),
    ...outboxIdentity(),
    createdAtMs: createdAtMs(),
    /** When this was the state of the block; a later snapshot replaces an earlier one. */
    updatedAtMs: epochMs('updated_at').notNull().default(now),
  },
  (table) => [
    check('rate_limits_v2_mode_check', oneOf(table.mode, blockModes)),
    // The guide's first monitoring query, and the cleanup of what expired.
    index('rate_limits_v2_blocked_until_idx').on(table.blockedUntilMs),
    // All blocks of one identifier, in page order.
    index('rate_limits_v2_identifier_idx').on(
      table.identifier,
      table.createdAtMs.desc().nullsFirst(),
      table.id.desc().nullsFirst(),
    ),
    // Keyset pagination, newest first.
    index('rate_limits_v2_created_at_idx').on(table.createdAtMs, table.id),
    // The reconcile reads a stretch of one outbox's numbers.
    index('rate_limits_v2_outbox_idx').on(table.outboxShard, table.outboxEpoch, table.outboxSeq),
  ],
);
