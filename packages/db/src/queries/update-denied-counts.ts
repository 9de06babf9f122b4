import type { Queryable } from '../connection/connection.ts';

/** How often a block has refused so far. */
export interface DeniedCount {
  /** The block's id in `rate_limits_v2`. */
  readonly id: string;
  /** Since the block began, not since the last report: a report that comes twice or late changes nothing. */
  readonly deniedCount: number;
  /** Epoch milliseconds. */
  readonly lastRequestAtMs: number;
}

/** What became of the counts. */
export interface DeniedCountsReport {
  /** Rows that grew; the others had as much already. */
  readonly updated: number;
  /** Ids without a row, in order: not inserted yet, or cleaned up. */
  readonly missing: readonly string[];
}

/**
 * Rows are locked in order of id before any is changed, else two batches over the same blocks deadlock. GREATEST makes the
 * order and number of reports irrelevant. Rows that have as much already aren't written: a replay leaves no dead tuples.
 */
const QUERY = `
  WITH input AS (
    SELECT id, max(denied_count) AS denied_count, to_timestamp(max(last_request_ms) / 1000) AS last_request_at
    FROM unnest($1::uuid[], $2::int8[], $3::float8[]) AS report (id, denied_count, last_request_ms)
    GROUP BY id
  ), locked AS (
    SELECT id FROM rate_limits_v2 WHERE id IN (SELECT id FROM input) ORDER BY id FOR NO KEY UPDATE
  ), updated AS (
    UPDATE rate_limits_v2 AS block
    SET denied_count = GREATEST(block.denied_count, input.denied_count),
        last_request_at = GREATEST(block.last_request_at, input.last_request_at),
        updated_at = GREATEST(block.updated_at, now())
    FROM locked JOIN input USING (id)
    WHERE block.id = locked.id
      AND (block.denied_count < input.denied_count OR block.last_request_at < input.last_request_at)
    RETURNING block.id
  )
  SELECT (SELECT count(*)::int FROM updated) AS updated,
         ARRAY(SELECT id::text FROM input EXCEPT SELECT id::text FROM locked ORDER BY 1) AS missing`;

/** Raises the denied counts of blocks, in one statement, for any number of them. */
export async function updateDeniedCounts(db: Queryable, counts: readonly DeniedCount[]): Promise<DeniedCountsReport> {
  if (counts.length === 0) return { updated: 0, missing: [] };
  const { rows } = await db.query<{ updated: number; missing: string[] }>(QUERY, [
    counts.map(({ id }) => id),
    counts.map(({ deniedCount }) => deniedCount),
    counts.map(({ lastRequestAtMs }) => lastRequestAtMs),
  ]);
  return { updated: rows[0]?.updated ?? 0, missing: rows[0]?.missing ?? [] };
}
