import type { Queryable } from '../connection/connection.ts';
import { wholeNumber } from '../invalid-option-error.ts';
import type { BlockRow } from './block-row.ts';
import { decodeCursor, encodeCursor } from './page-cursor.ts';

/** Which blocks, and from where on. */
export interface ListBlocksOptions {
  readonly tier?: string;
  readonly identifier?: string;
  /** true: still in force; false: expired. @default both */
  readonly active?: boolean;
  /** Rows a page, 1 to 1,000. @default 50 */
  readonly limit?: number;
  /** `next` of the page before. @default from the newest block on */
  readonly after?: string;
}

/** Blocks, newest first. */
export interface BlockPage {
  readonly blocks: readonly BlockRow[];
  /** Pass it as `after` for the following page; null on the last one. */
  readonly next: string | null;
}

const LARGEST_PAGE = 1_000;

/**
 * Keyset pagination: each page starts right behind a known row, so rows that arrive meanwhile shift nothing and page 1,000 costs
 * what page 1 does. An absent filter is a null, which the planner folds away, since unnamed statements are planned with
 * their values. float8 is exact for every count below 2^53, and for milliseconds with three decimals, which is all that
 * a timestamptz has; pg reads it as a number where int8 would be text.
 */
const QUERY = `
  SELECT id, key, tier, action, identifier, mode,
         limit_count::float8 AS "limitCount",
         window_ms::float8 AS "windowMs",
         request_count::float8 AS "requestCount",
         denied_count::float8 AS "deniedCount",
         outbox_shard AS "outboxShard",
         outbox_epoch::float8 AS "outboxEpoch",
         outbox_seq::float8 AS "outboxSeq",
         (extract(epoch FROM window_start) * 1000)::float8 AS "windowStartMs",
         (extract(epoch FROM last_request_at) * 1000)::float8 AS "lastRequestAtMs",
         (extract(epoch FROM blocked_until) * 1000)::float8 AS "blockedUntilMs",
         (extract(epoch FROM created_at) * 1000)::float8 AS "createdAtMs",
         (extract(epoch FROM updated_at) * 1000)::float8 AS "updatedAtMs"
  FROM rate_limits_v2
  WHERE ($1::text IS NULL OR tier = $1)
    AND ($2::text IS NULL OR identifier = $2)
    AND ($3::bool IS NULL OR $3 = (blocked_until > now()))
    AND ($4::int8 IS NULL OR (created_at, id) < ('epoch'::timestamptz + $4::int8 * interval '1 microsecond', $5::uuid))
  ORDER BY created_at DESC, id DESC
  LIMIT $6`;

/**
 * One page of blocks, newest first, filtered.
 * @throws {InvalidCursorError} for an `after` that no page returned.
 * @throws {InvalidOptionError} for a `limit` out of range.
 */
export async function listBlocks(db: Queryable, options: ListBlocksOptions = {}): Promise<BlockPage> {
  const limit = wholeNumber('limit', options.limit ?? 50, 1, LARGEST_PAGE);
  const after = options.after === undefined ? null : decodeCursor(options.after);
  const { rows } = await db.query<BlockRow>(QUERY, [
    options.tier ?? null,
    options.identifier ?? null,
    options.active ?? null,
    after?.createdAtUs ?? null,
    after?.id ?? null,
    // One more than asked for tells whether there is a following page.
    limit + 1,
  ]);
  const blocks = rows.slice(0, limit);
  const last = blocks.at(-1);
  const next = rows.length > limit && last !== undefined ? encodeCursor(last) : null;
  return { blocks, next };
}
