import { and, asc, desc, eq, gt, gte, sql } from 'drizzle-orm';
import { union } from 'drizzle-orm/pg-core';
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

const { id, identifier, tier, action, mode, deniedCount, blockedUntilMs, createdAtMs } = rateLimitsV2;
const columns = { id, identifier, tier, action, mode, deniedCount, blockedUntilMs };

/** Blocks that are looked at, of those that began in the range and of those that run: a flood makes millions. */
const MOST = 5_000;

/**
 * Who was blocked in the last `rangeMs` or still is: those that are first, then by refused requests. Adds up the newest 5,000
 * blocks of the range and the 5,000 running ones that end last; of fewer, all.
 */
export async function blockedSubjects(
  db: Queryable,
  rangeMs: number,
  limit: number,
): Promise<readonly BlockedSubject[]> {
  const builder = typed(db);
  const newest = builder
    .select(columns)
    .from(rateLimitsV2)
    .where(gte(createdAtMs, ago(rangeMs)))
    .orderBy(desc(createdAtMs), desc(id))
    .limit(MOST);
  const running = builder
    .select(columns)
    .from(rateLimitsV2)
    .where(gt(blockedUntilMs, now))
    .orderBy(desc(blockedUntilMs))
    .limit(MOST);
  const block = union(newest, running).as('block');
  const denied = sql<number>`sum(${block.deniedCount})::float8`;
  const active = sql<boolean>`max(${block.blockedUntilMs}) > now()`;
  const { identifier: who, tier: ofTier, action: ofAction, mode: ofMode } = block;
  return builder
    .select({
      identifier: who,
      tier: ofTier,
      action: ofAction,
      mode: ofMode,
      active,
      blocks: sql<number>`count(*)::int`,
      deniedCount: denied,
      blockedUntilMs: sql<number>`(extract(epoch from max(${block.blockedUntilMs})) * 1000)::float8`,
    })
    .from(block)
    .groupBy(who, ofTier, ofAction, ofMode)
    .orderBy(desc(active), desc(denied), asc(who))
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
