import { sql } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { ago, read } from '../query/typed.ts';
import { circuitBreakerEvents, rateLimitsV2 } from '../schema/trail.ts';

/** A block or what happened to a breaker, as a line to read. */
export interface RecentEvent {
  readonly id: string;
  /** Epoch ms. */
  readonly atMs: number;
  /** Since it happened, by Postgres' clock, in ms. */
  readonly ageMs: number;
  readonly kind: 'block' | 'breaker';
  /** Who was blocked, or which breaker. */
  readonly subject: string;
  /** Tier and action, or the type of the event. */
  readonly what: string;
  readonly detail: string;
}

const block = rateLimitsV2;
const event = circuitBreakerEvents;

/** What happened in the last `windowMs` milliseconds, oldest first. */
export async function recentEvents(db: Queryable, windowMs: number): Promise<RecentEvent[]> {
  return read(
    db,
    sql`
      SELECT id, (extract(epoch FROM at) * 1000)::float8 AS "atMs", (extract(epoch FROM now() - at) * 1000)::float8 AS "ageMs",
             kind, subject, what, detail
      FROM (
        SELECT ${block.id} AS id, ${block.createdAtMs} AS at, 'block' AS kind, ${block.identifier} AS subject,
               ${block.tier} || '/' || ${block.action} AS what,
               ${block.mode} || ' until ' || to_char(${block.blockedUntilMs} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
                 AS detail
        FROM ${block} WHERE ${block.createdAtMs} > ${ago(windowMs)}
        UNION ALL
        SELECT ${event.id}, ${event.createdAtMs}, 'breaker', ${event.breakerName}, ${event.eventType},
               concat_ws(' ', ${event.preset}, ${event.errorMessage})
        FROM ${event} WHERE ${event.createdAtMs} > ${ago(windowMs)}
      ) AS events
      ORDER BY at, id`,
  );
}
