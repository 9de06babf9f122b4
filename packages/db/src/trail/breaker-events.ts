import { and } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { equals, type Page, type PageOptions, readPage } from '../query/keyset-page.ts';
import { columnsOf, typed } from '../query/typed.ts';
import { type InsertRows, unnestInsert } from '../query/unnest-insert.ts';
import { circuitBreakerEvents } from '../schema/trail.ts';

/** Something that happened to a breaker, as one row of `circuit_breaker_events`. Times are epoch milliseconds. */
export type BreakerEventRow = Readonly<typeof circuitBreakerEvents.$inferSelect>;

/**
 * Inserts breaker events and returns how many were new. A transition that another event has reported already is not.
 * Rejects with pg's error and inserts nothing when one row is bad: see `classifyDbError`.
 */
export const insertBreakerEvents: InsertRows<BreakerEventRow> = unnestInsert(circuitBreakerEvents);

/** What happened to a breaker, as it is read. */
export type StoredBreakerEvent = Omit<BreakerEventRow, 'outboxShard' | 'outboxEpoch' | 'outboxSeq'>;

/** Which breaker events, and from where on. */
export interface ListBreakerEventsOptions extends PageOptions {
  readonly breakerName?: string;
  readonly preset?: string;
  readonly eventType?: string;
}

const { outboxShard: _shard, outboxEpoch: _epoch, outboxSeq: _seq, ...shown } = columnsOf(circuitBreakerEvents);

/** One page of breaker events, newest first, filtered. */
export async function listBreakerEvents(
  db: Queryable,
  options: ListBreakerEventsOptions = {},
): Promise<Page<StoredBreakerEvent>> {
  const { breakerName, preset, eventType } = circuitBreakerEvents;
  return readPage(circuitBreakerEvents, 'createdAtMs', options, async ({ where, orderBy, limit }) =>
    typed(db)
      .select(shown)
      .from(circuitBreakerEvents)
      .where(
        and(
          where,
          equals(breakerName, options.breakerName),
          equals(preset, options.preset),
          equals(eventType, options.eventType),
        ),
      )
      .orderBy(...orderBy)
      .limit(limit),
  );
}
