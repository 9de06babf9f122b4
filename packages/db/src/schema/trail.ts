import { sql } from 'drizzle-orm';
import { bigint, check, index, text, uuid, jsonb, uniqueIndex, integer, primaryKey } from 'drizzle-orm/pg-core';
import {
  blockModes,
  oneOf,
  outboxIdentity,
  createdAtMs,
  epochMs,
  now,
  publicSchema,
  breakerEventTypes,
  spillway,
} from './columns.ts';

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

/**
 * What happened to a breaker. Transitions (opened, half_open, closed) carry the breaker's epoch and are unique by
 * (breaker, preset, epoch, type): two instances that report one transition leave one row. Failures and successes have none.
 */
export const circuitBreakerEvents = publicSchema.table(
  'circuit_breaker_events',
  {
    /** UUID computed from the event, so that the same event is the same row. */
    id: uuid('id').primaryKey(),
    breakerName: text('breaker_name').notNull(),
    /** The preset it runs under: one dependency may have a breaker under several. */
    preset: text('preset').notNull().default(''),
    eventType: text('event_type', { enum: breakerEventTypes }).notNull(),
    failureCount: bigint('failure_count', { mode: 'number' }).notNull().default(0),
    /** Truncated and with secrets masked by the producer. */
    errorMessage: text('error_message'),
    /** Anything JSON. */
    metadata: jsonb('metadata').$type<Readonly<Record<string, unknown>>>().notNull().default({}),
    /** Of a transition: counts them per breaker; null for failures and successes. */
    breakerEpoch: bigint('breaker_epoch', { mode: 'number' }),
    ...outboxIdentity(),
    createdAtMs: createdAtMs(),
  },
  (table) => [
    check('circuit_breaker_events_event_type_check', oneOf(table.eventType, breakerEventTypes)),
    uniqueIndex('circuit_breaker_events_transition_key')
      .on(table.breakerName, table.preset, table.breakerEpoch.desc().nullsFirst(), table.eventType)
      .where(sql`${table.breakerEpoch} is not null`),
    // The guide's second monitoring query reads this index alone.
    index('circuit_breaker_events_created_at_idx').on(table.createdAtMs, table.breakerName, table.eventType),
    // One breaker's history, newest first.
    index('circuit_breaker_events_breaker_idx').on(table.breakerName, table.createdAtMs),
    index('circuit_breaker_events_outbox_idx').on(table.outboxShard, table.outboxEpoch, table.outboxSeq),
  ],
);

/**
 * What people changed by hand: policies, overrides, lists, keys, blocks, breakers, maintenance. Rows are only added. The writer
 * computes `id`, so that inserting twice changes nothing. The outbox columns are null for changes that Postgres alone knows of.
 */
export const changes = spillway.table(
  'changes',
  {
    id: uuid('id').primaryKey(),
    createdAtMs: createdAtMs(),
    /** Who: a key's name and id, a token's subject, or a user of the machine. */
    actor: text('actor').notNull(),
    /** What was done: `set_policy`, `unblock`, `force_open`, `revoke_key`. */
    action: text('action').notNull(),
    /** The kind of thing it was done to: `policy`, `override`, `list`, `key`, `block`, `breaker`, `job`. */
    objectKind: text('object_kind').notNull(),
    /** Which of them. */
    object: text('object').notNull(),
    /** As it was; null when there was none. Never a secret. */
    before: jsonb('before'),
    /** As it is; null when it was removed. Never a secret. */
    after: jsonb('after'),
    /** Why, in the actor's words. */
    note: text('note'),
    outboxShard: integer('outbox_shard'),
    outboxEpoch: bigint('outbox_epoch', { mode: 'number' }),
    outboxSeq: bigint('outbox_seq', { mode: 'number' }),
  },
  (table) => [
    // Keyset pagination, newest first.
    index('changes_created_at_idx').on(table.createdAtMs, table.id),
    // The history of one thing.
    index('changes_object_idx').on(table.objectKind, table.object, table.createdAtMs),
    index('changes_outbox_idx')
      .on(table.outboxShard, table.outboxEpoch, table.outboxSeq)
      .where(sql`${table.outboxSeq} is not null`),
  ],
);

/**
 * What limiters reported: how many decisions of one policy had one outcome in one process, over a few seconds. Each report
 * is stored once, so that `add_decisions()` knows whether it was counted.
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
