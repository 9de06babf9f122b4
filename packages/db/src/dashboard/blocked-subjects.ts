import { and, asc, desc, eq, gt, gte, or, sql } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { ago, now, typed } from '../query/typed.ts';
import { rateLimitsV2 } from '../schema/rate-limits.ts';

type Block = typeof rateLimitsV2.$inferSelect;

/** A subject that was blocked, all its blocks of a tier and an action together. */
export interface BlockedSubject extends Readonly<Pick<Block, 'identifier' | 'tier' | 'action' | 'mode'>> {
  readonly blocks: number;
  /** Requests refused while blocked. */
  readonly deniedCount: number;
  /** End of the last block, epoch ms; `Infinity` = for ever. */
  readonly blockedUntilMs: number;
  /** Whether it runs. */
  readonly active: boolean;
}

const { identifier, tier, action, mode, deniedCount, blockedUntilMs, createdAtMs } = rateLimitsV2;

/** Who was blocked in the last `rangeMs` or still is: those that are first, then by refused requests. */
export async function blockedSubjects(
  db: Queryable,
  rangeMs: number,
  limit: number,
): Promise<readonly BlockedSubject[]> {
  const denied = sql<number>`sum(${deniedCount})::float8`;
  const active = sql<boolean>`max(${blockedUntilMs}) > now()`;
  return typed(db)
    .select({
      identifier,
      tier,
      action,
      mode,
      active,
      blocks: sql<number>`count(*)::int`,
      deniedCount: denied,
      blockedUntilMs: sql<number>`(extract(epoch from max(${blockedUntilMs})) * 1000)::float8`,
    })
    .from(rateLimitsV2)
    .where(or(gte(createdAtMs, ago(rangeMs)), gt(blockedUntilMs, now)))
    .groupBy(identifier, tier, action, mode)
    .orderBy(desc(active), desc(denied), asc(identifier))
    .limit(limit);
}

/** How many subjects are refused now: those with a running block of a policy that enforces. */
export async function countBlocksRunning(db: Queryable): Promise<number> {
  const builder = typed(db);
  const running = builder
    .selectDistinct({ identifier, tier, action })
    .from(rateLimitsV2)
    .where(and(gt(blockedUntilMs, now), eq(mode, 'enforce')))
    .as('running');
  return builder.$count(running);
}
