import { sql } from 'drizzle-orm';
import { index, jsonb, numeric, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { timestamptz } from './timestamps.ts';

/**
 * Thresholds that were crossed. A rule has at most one open row; it is resolved when the value is back. What the webhook
 * was told is remembered in the row, so that a worker that dies between the two tells it later.
 */
export const alerts = spillway.table(
  'alerts',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    rule: text('rule').notNull(),
    openedAt: timestamptz('opened_at').notNull().defaultNow(),
    resolvedAt: timestamptz('resolved_at'),
    /** While open, the worst value so far. */
    value: numeric('value').notNull(),
    threshold: numeric('threshold').notNull(),
    details: jsonb('details').notNull().default({}),
    notifiedOpenedAt: timestamptz('notified_opened_at'),
    notifiedResolvedAt: timestamptz('notified_resolved_at'),
  },
  (table) => [
    uniqueIndex('alerts_open_key')
      .on(table.rule)
      .where(sql`${table.resolvedAt} is null`),
    index('alerts_opened_at_idx').on(table.openedAt),
    // What the webhook has yet to be told.
    index('alerts_untold_idx')
      .on(table.openedAt)
      .where(
        sql`${table.notifiedOpenedAt} is null or (${table.resolvedAt} is not null and ${table.notifiedResolvedAt} is null)`,
      ),
  ],
);
