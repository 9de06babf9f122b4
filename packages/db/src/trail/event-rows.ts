import { and, gt, lte, sql } from 'drizzle-orm';
import { equals, type Page, type PageOptions, readPage, when } from '../query/keyset-page.ts';
import { columnsOf, typed, ago, read } from '../query/typed.ts';
import { unnestCall, type InsertRows, unnestInsert, type NewRow } from '../query/unnest-insert.ts';
import { rateLimitsV2, circuitBreakerEvents, decisionReports } from '../schema/trail.ts';
import type { Queryable } from '../connection.ts';

/** A block, as one row of `rate_limits_v2`. Times are epoch milliseconds, `blockedUntilMs` is `Infinity` for no end. */
export type BlockRow = Readonly<typeof rateLimitsV2.$inferSelect>;

/**
 * Writes blocks to `rate_limits_v2` and returns how many rows were new or changed. 500 to 2,000 rows a call are fastest.
 *
 * With a `cap` at most about so many blocks that began in one minute become rows; calls that run at once may exceed it by one
 * call each. The others are counted, exactly, in `audit_gaps`: a row of kind `blocks_capped` per outbox, minute and tier, with
 * their numbers in the outbox. The result counts them too, the first time.
 *
 * A row is a snapshot of a block. Writing is idempotent, and the same whichever order the snapshots of one block come in:
 * totals only grow, the end is the later snapshot's (by `updatedAtMs`), and of two snapshots of one millisecond the
 * earlier end, because within a block only its lifting moves it. What would not change is not written. Rows of blocks that have
 * only begun (`createdAtMs` is `updatedAtMs` in all of them) are inserted as new, which is cheaper; if one is there already, those
 * before it in the order of ids are left as dead tuples, and all are written by the rules above.
 *
 * The rules are in the function `upsert_blocks`: a role that may only call it can't change rows in any other way.
 *
 * Each id at most once a call: Postgres refuses to change a row twice in one statement. Rejects with pg's error and
 * writes nothing when one row is bad: see `classifyDbError`.
 */
export const upsertBlocks: (db: Queryable, rows: readonly BlockRow[], cap?: number | null) => Promise<number> =
  unnestCall('spillway.upsert_blocks', rateLimitsV2, [], 'p_cap');

/** Which blocks, and from where on. */
export interface ListBlocksOptions extends PageOptions {
  readonly tier?: string;
  readonly action?: string;
  readonly identifier?: string;
  readonly mode?: string;
  /** true: still in force; false: expired. @default both */
  readonly active?: boolean;
}

/** One page of blocks, newest first, filtered. */
export async function listBlocks(db: Queryable, options: ListBlocksOptions = {}): Promise<Page<BlockRow>> {
  const { tier, action, identifier, mode, blockedUntilMs } = rateLimitsV2;
  const now = sql`now()`;
  return readPage(rateLimitsV2, 'createdAtMs', options, async ({ where, orderBy, limit }) =>
    typed(db)
      .select(columnsOf(rateLimitsV2))
      .from(rateLimitsV2)
      .where(
        and(
          where,
          equals(tier, options.tier),
          equals(action, options.action),
          equals(identifier, options.identifier),
          equals(mode, options.mode),
          when(options.active, (active) => (active ? gt(blockedUntilMs, now) : lte(blockedUntilMs, now))),
        ),
      )
      .orderBy(...orderBy)
      .limit(limit),
  );
}

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

/** How many decisions of one policy had one outcome in one process, as a row of `spillway.decision_reports`. */
export type DecisionReportRow = NewRow<typeof decisionReports>;

/**
 * Stores reports and adds those that are new to `decision_counts` and `decision_counts_hourly`, in one statement: a report that
 * comes again counts nothing. Returns how many were new.
 * Rejects with pg's error and counts nothing when one row is bad.
 */
export const addDecisions = unnestCall('spillway.add_decisions', decisionReports);

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
