import { sql } from 'drizzle-orm';
import { bigint, check, index, jsonb, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { breakerEventTypes, oneOf } from './enumerations.ts';
import { outboxIdentity } from './outbox-identity.ts';
import { publicSchema } from './schemas.ts';
import { createdAtMs } from './timestamps.ts';

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
