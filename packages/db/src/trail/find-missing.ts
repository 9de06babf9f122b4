import { type SQL, sql } from 'drizzle-orm';
import type { Queryable } from '../connection/connection.ts';
import { read } from '../query/typed.ts';

import type { GapKind } from '../schema/enumerations.ts';
import {
  auditEpochs,
  auditGaps,
  auditWatermarks,
  changes,
  circuitBreakerEvents,
  decisionReports,
  rateLimitsV2,
  systemMetrics,
} from '../schema/index.ts';
import type { GapRange } from './gaps.ts';

/** A stretch of one outbox' numbers to look at: from above what was cleaned by age through `high`. */
export interface SeqBounds {
  readonly shard: number;
  readonly epoch: number;
  readonly high: number;
}

/** One number that is accounted for elsewhere than in a table of events. */
export interface KnownSeq {
  readonly shard: number;
  readonly epoch: number;
  readonly seq: number;
}

/** Every table that holds sequenced events. */
const sequenced = [rateLimitsV2, circuitBreakerEvents, systemMetrics, decisionReports, changes, auditGaps];

/** The numbers that these hold, and those of blocks that were counted instead. */
const stored = sql.join(
  [
    ...sequenced.map(
      (table) => sql`
    SELECT ${table.outboxShard} AS shard, ${table.outboxEpoch} AS epoch, ${table.outboxSeq} AS seq, ${table.outboxSeq} AS through
    FROM ${table} WHERE ${table.outboxSeq} IS NOT NULL`,
    ),
    sql`SELECT ${auditGaps.shard}, ${auditGaps.epoch}, lower(part), upper(part) - 1 FROM ${auditGaps}, unnest(${auditGaps.seqs}) AS part`,
  ],
  sql` UNION ALL `,
);

/** The ranges that are known to be missing. */
const reported = sql`
    SELECT ${auditGaps.shard}, ${auditGaps.epoch}, ${auditGaps.fromSeq}, ${auditGaps.toSeq}
    FROM ${auditGaps} WHERE ${auditGaps.kind} = ${'missing' satisfies GapKind} AND ${auditGaps.fromSeq} IS NOT NULL`;

/** An array for `unnest`: one parameter. */
const ints = <Row>(rows: readonly Row[], of: (row: Row) => number): SQL => sql`${sql.param(rows.map(of))}::int8[]`;

/**
 * The numbers within `bounds` that no table holds, and nobody in `known`, as ranges. Reads the tables of events whole, and
 * what was cleaned in the same snapshot: a cleanup meanwhile makes no gaps.
 */
export async function findMissing(
  db: Queryable,
  bounds: readonly SeqBounds[],
  known: readonly KnownSeq[],
): Promise<GapRange[]> {
  const mark = auditWatermarks;
  const asked = sql`
    unnest(${sql.param(bounds.map((one) => one.shard))}::int4[], ${ints(bounds, (one) => one.epoch)}, ${ints(bounds, (one) => one.high)})`;
  const elsewhere = sql`
    unnest(${sql.param(known.map((one) => one.shard))}::int4[], ${ints(known, (one) => one.epoch)}, ${ints(known, (one) => one.seq)})`;
  return read(
    db,
    sql`
  WITH bounds AS (
    SELECT asked.shard, asked.epoch, COALESCE(${mark.throughSeq}, 0) AS low, high
    FROM ${asked} AS asked (shard, epoch, high)
    LEFT JOIN ${mark} ON ${mark.shard} = asked.shard AND ${mark.epoch} = asked.epoch
  ), present AS (${stored} UNION ALL ${reported}
    UNION ALL SELECT shard, epoch, seq, seq FROM ${elsewhere} AS elsewhere (shard, epoch, seq)
    UNION ALL SELECT shard, epoch, high + 1, high + 1 FROM bounds
  ), steps AS (
    SELECT shard, epoch, seq, GREATEST(low, max(through) OVER (
      PARTITION BY shard, epoch ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS before
    FROM present JOIN bounds USING (shard, epoch)
    WHERE through > low AND seq <= high + 1
  )
  SELECT shard::int4 AS shard, epoch::float8 AS epoch, (before + 1)::float8 AS "fromSeq", (seq - 1)::float8 AS "toSeq"
  FROM steps WHERE seq > before + 1 ORDER BY steps.shard, steps.epoch, seq`,
  );
}

/** An epoch of an outbox: `seq` is its highest number that is stored. */
export interface StoredEpoch extends KnownSeq {
  /** The highest number that was seen given out; 0 when none was. */
  readonly seenSeq: number;
}

/** All outboxes that the tables know, each with its highest numbers. */
export async function listEpochs(db: Queryable): Promise<StoredEpoch[]> {
  const kept = auditEpochs;
  return read(
    db,
    sql`
  WITH stored AS (SELECT shard, epoch, max(through) AS high FROM (${stored}) AS rows GROUP BY shard, epoch)
  SELECT COALESCE(stored.shard, ${kept.shard}) AS shard, COALESCE(stored.epoch, ${kept.epoch})::float8 AS epoch,
         GREATEST(high, ${kept.storedSeq})::float8 AS seq, COALESCE(${kept.seenSeq}, 0)::float8 AS "seenSeq"
  FROM stored FULL JOIN ${kept} ON ${kept.shard} = stored.shard AND ${kept.epoch} = stored.epoch
  ORDER BY 1, 2`,
  );
}
