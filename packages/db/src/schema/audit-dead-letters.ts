import { sql } from 'drizzle-orm';
import { index, jsonb, text, uuid } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { createdAt, timestamptz } from './timestamps.ts';

/** Events that Postgres refused, with the reason and the whole event, to be replayed once the cause is gone. */
export const auditDeadLetters = spillway.table(
  'audit_dead_letters',
  {
    id: uuid('id').primaryKey(),
    sourceJob: text('source_job').notNull(),
    reason: text('reason').notNull(),
    payload: jsonb('payload').notNull(),
    createdAt: createdAt(),
    replayedAt: timestamptz('replayed_at'),
  },
  (table) => [
    index('audit_dead_letters_created_at_idx').on(table.createdAt, table.id),
    index('audit_dead_letters_waiting_idx')
      .on(table.createdAt)
      .where(sql`${table.replayedAt} is null`),
  ],
);
