import { sql } from 'drizzle-orm';
import { index, jsonb, numeric, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { spillway } from './schemas.ts';
import { epochMs, now } from './timestamps.ts';

/**
 * Thresholds that were crossed. A rule has at most one open row; it is resolved when the value is back. What the webhook
 * was told is remembered in the row, so that a worker that dies between the two tells it later.
 */
export const alerts = spillway.table(
  'alerts',
  {
    id: uuid('id').primaryKey().defaultRandom(),
    rule: text('rule').notNull(),
    openedAtMs: epochMs('opened_at').notNull().default(now),
    /** Null while it is open. */
    resolvedAtMs: epochMs('resolved_at'),
    /** While open, the worst value so far. */
    value: numeric('value', { mode: 'number' }).notNull(),
    threshold: numeric('threshold', { mode: 'number' }).notNull(),
    details: jsonb('details').$type<Readonly<Record<string, unknown>>>().notNull().default({}),
    notifiedOpenedAtMs: epochMs('notified_opened_at'),
    notifiedResolvedAtMs: epochMs('notified_resolved_at'),
  },
  (table) => [
    uniqueIndex('alerts_open_key')
      .on(table.rule)
      .where(sql`${table.resolvedAtMs} is null`),
    index('alerts_opened_at_idx').on(table.openedAtMs),
    // What the webhook has yet to be told.
    index('alerts_untold_idx')
      .on(table.openedAtMs)
      .where(
        sql`${table.notifiedOpenedAtMs} is null or (${table.resolvedAtMs} is not null and ${table.notifiedResolvedAtMs} is null)`,
      ),
  ],
);
