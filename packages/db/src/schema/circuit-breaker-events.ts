import { sql } from 'drizzle-orm';
import { bigint, check, index, jsonb, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core';
import { outboxIdentity } from './outbox-identity.ts';
import { createdAt } from './timestamps.ts';

/**
 * What happened to a breaker. Transitions (opened, half_open, closed) carry the breaker's epoch and are unique by
 * (breaker, preset, epoch, type): two instances that report one transition leave one row. Failures and successes have none.
 */
export const circuitBreakerEvents = pgTable(
  'circuit_breaker_events',
  {
    id: uuid('id').primaryKey(),
    breakerName: text('breaker_name').notNull(),
    /** The preset it runs under: one dependency may have a breaker under several. */
    preset: text('preset').notNull().default(''),
    eventType: text('event_type').notNull(),
    failureCount: bigint('failure_count', { mode: 'number' }).notNull().default(0),
    errorMessage: text('error_message'),
    metadata: jsonb('metadata').notNull().default({}),
    breakerEpoch: bigint('breaker_epoch', { mode: 'number' }),
    ...outboxIdentity(),
    createdAt: createdAt(),
  },
  (table) => [
    check(
      'circuit_breaker_events_event_type_check',
      sql`${table.eventType} in ('opened', 'closed', 'half_open', 'failure', 'success')`,
    ),
    uniqueIndex('circuit_breaker_events_transition_key')
      .on(table.breakerName, table.preset, table.breakerEpoch.desc().nullsFirst(), table.eventType)
      .where(sql`${table.breakerEpoch} is not null`),
    // The guide's second monitoring query reads this index alone.
    index('circuit_breaker_events_created_at_idx').on(table.createdAt, table.breakerName, table.eventType),
    // One breaker's history, newest first.
    index('circuit_breaker_events_breaker_idx').on(table.breakerName, table.createdAt),
  ],
);
