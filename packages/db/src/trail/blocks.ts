import { and, gt, lte, sql } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { equals, type Page, type PageOptions, readPage, when } from '../query/keyset-page.ts';
import { columnsOf, typed } from '../query/typed.ts';
import { unnestCall } from '../query/unnest-insert.ts';
import { rateLimitsV2 } from '../schema/trail.ts';

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
 * earlier end, because within a block only its lifting moves it. What would not change is not written, so that a second
 * delivery costs a look and no dead tuple.
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
