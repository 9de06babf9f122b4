import { bigint, index, primaryKey, text, uuid } from 'drizzle-orm/pg-core';
import { outboxIdentity } from './outbox-identity.ts';
import { spillway } from './schemas.ts';
import { epochMs } from './timestamps.ts';

/**
 * What limiters reported: how many decisions of one policy fell one way in one process, over a few seconds. Each report is here
 * once, by which `add_decisions()` knows whether it was counted.
 */
export const decisionReports = spillway.table(
  'decision_reports',
  {
    /** UUID computed from the event, so that the same event is the same row. */
    id: uuid('id').primaryKey(),
    policy: text('policy').notNull(),
    /** Why they fell so, such as `allowed` or `blocked`. */
    outcome: text('outcome').notNull(),
    count: bigint('count', { mode: 'number' }).notNull(),
    /** Over how many milliseconds they were counted; they ended at `recorded_at`. */
    overMs: bigint('over_ms', { mode: 'number' }).notNull(),
    recordedAtMs: epochMs('recorded_at').notNull(),
    ...outboxIdentity(),
  },
  (table) => [
    // The rates of the last minute, and cleanup by age.
    index('decision_reports_recorded_at_idx').on(table.recordedAtMs),
    index('decision_reports_outbox_idx').on(table.outboxShard, table.outboxEpoch, table.outboxSeq),
  ],
);

/** Decisions by policy, outcome and minute (UTC), of all processes together. */
export const decisionCounts = spillway.table(
  'decision_counts',
  {
    policy: text('policy').notNull(),
    outcome: text('outcome').notNull(),
    minuteMs: epochMs('minute').notNull(),
    count: bigint('count', { mode: 'number' }).notNull(),
  },
  // Time first: a range of time is a range of the key.
  (table) => [primaryKey({ name: 'decision_counts_pkey', columns: [table.minuteMs, table.policy, table.outcome] })],
);

/** The same by the hour, so that a week is a thousand rows. */
export const decisionCountsHourly = spillway.table(
  'decision_counts_hourly',
  {
    policy: text('policy').notNull(),
    outcome: text('outcome').notNull(),
    hourMs: epochMs('hour').notNull(),
    count: bigint('count', { mode: 'number' }).notNull(),
  },
  (table) => [
    primaryKey({ name: 'decision_counts_hourly_pkey', columns: [table.hourMs, table.policy, table.outcome] }),
  ],
);
