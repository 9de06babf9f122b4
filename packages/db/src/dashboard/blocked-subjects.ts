import type { Queryable } from '../connection/connection.ts';

/** Somebody who was blocked, all blocks of a tier and an action together. */
export interface BlockedSubject {
  readonly identifier: string;
  readonly tier: string;
  readonly action: string;
  readonly mode: 'enforce' | 'shadow';
  readonly blocks: number;
  /** Requests refused while blocked. */
  readonly deniedCount: number;
  /** End of the last block, epoch ms; `Infinity` = for ever. */
  readonly blockedUntilMs: number;
  /** Whether it runs. */
  readonly active: boolean;
}

const QUERY = `
  SELECT identifier, tier, action, mode, count(*)::int AS blocks, sum(denied_count)::float8 AS "deniedCount",
         (extract(epoch FROM max(blocked_until)) * 1000)::float8 AS "blockedUntilMs", max(blocked_until) > now() AS active
  FROM public.rate_limits_v2
  WHERE created_at >= now() - $1::float8 * interval '1 millisecond' OR blocked_until > now()
  GROUP BY identifier, tier, action, mode
  ORDER BY active DESC, "deniedCount" DESC, identifier
  LIMIT $2`;

/** Who was blocked in the last `rangeMs` or still is: those that are first, then by refused requests. */
export async function blockedSubjects(
  db: Queryable,
  rangeMs: number,
  limit: number,
): Promise<readonly BlockedSubject[]> {
  const { rows } = await db.query<BlockedSubject>(QUERY, [rangeMs, limit]);
  return rows;
}

/** How many subjects are refused now: those with a running block of a policy that enforces. */
export async function countBlocksRunning(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ n: number }>(
    `SELECT count(*)::float8 AS n FROM (
       SELECT DISTINCT identifier, tier, action FROM public.rate_limits_v2 WHERE blocked_until > now() AND mode = 'enforce'
     ) AS running`,
  );
  return rows[0]?.n ?? 0;
}
