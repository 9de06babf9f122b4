import { sql } from 'drizzle-orm';
import { bigint, check, index, pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { outboxIdentity } from './outbox-identity.ts';
import { createdAt, timestamptz } from './timestamps.ts';

/**
 * One row per block. The writer computes `id` from the event, so that inserting twice changes nothing.
 * `blocked_until` is 'infinity' for a block without end. The migration adds what drizzle can't
 * say: `fillfactor = 90`, since the cumulative `denied_count` is written later and room on the page lets that update touch no
 * index; and autovacuum settings.
 */
export const rateLimitsV2 = pgTable(
  'rate_limits_v2',
  {
    id: uuid('id').primaryKey(),
    key: text('key').notNull(),
    tier: text('tier').notNull(),
    action: text('action').notNull(),
    identifier: text('identifier').notNull(),
    limitCount: bigint('limit_count', { mode: 'number' }).notNull(),
    windowMs: bigint('window_ms', { mode: 'number' }).notNull(),
    requestCount: bigint('request_count', { mode: 'number' }).notNull(),
    deniedCount: bigint('denied_count', { mode: 'number' }).notNull().default(0),
    windowStart: timestamptz('window_start').notNull(),
    lastRequestAt: timestamptz('last_request_at').notNull(),
    blockedUntil: timestamptz('blocked_until').notNull(),
    mode: text('mode').notNull().default('enforce'),
    ...outboxIdentity(),
    createdAt: createdAt(),
    updatedAt: timestamptz('updated_at').notNull().defaultNow(),
  },
  (table) => [
    check('rate_limits_v2_mode_check', sql`${table.mode} in ('enforce', 'shadow')`),
    // The guide's first monitoring query, and the cleanup of what expired.
    index('rate_limits_v2_blocked_until_idx').on(table.blockedUntil),
    // All blocks of one identifier, in page order.
    index('rate_limits_v2_identifier_idx').on(
      table.identifier,
      table.createdAt.desc().nullsFirst(),
      table.id.desc().nullsFirst(),
    ),
    // Keyset pagination, newest first.
    index('rate_limits_v2_created_at_idx').on(table.createdAt, table.id),
  ],
);
