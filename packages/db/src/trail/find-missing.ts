import type { Queryable } from '../connection/connection.ts';
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

/** Every table that holds sequenced events, and the numbers of blocks that were counted instead. */
const STORED = `
    SELECT outbox_shard AS shard, outbox_epoch AS epoch, outbox_seq AS seq, outbox_seq AS through FROM public.rate_limits_v2
    UNION ALL SELECT outbox_shard, outbox_epoch, outbox_seq, outbox_seq FROM public.circuit_breaker_events
    UNION ALL SELECT outbox_shard, outbox_epoch, outbox_seq, outbox_seq FROM public.system_metrics WHERE outbox_seq IS NOT NULL
    UNION ALL SELECT outbox_shard, outbox_epoch, outbox_seq, outbox_seq FROM spillway.changes WHERE outbox_seq IS NOT NULL
    UNION ALL SELECT outbox_shard, outbox_epoch, outbox_seq, outbox_seq FROM spillway.audit_gaps WHERE outbox_seq IS NOT NULL
    UNION ALL SELECT shard, epoch, lower(part), upper(part) - 1 FROM spillway.audit_gaps, unnest(seqs) AS part`;

/** These, and the ranges that are known to be missing. */
const PRESENT = `${STORED}
    UNION ALL SELECT shard, epoch, from_seq, to_seq FROM spillway.audit_gaps WHERE kind = 'missing' AND from_seq IS NOT NULL`;

const MISSING = `
  WITH bounds AS (
    SELECT shard, epoch, COALESCE(through_seq, 0) AS low, high
    FROM unnest($1::int4[], $2::int8[], $3::int8[]) AS b(shard, epoch, high)
    LEFT JOIN spillway.audit_watermarks USING (shard, epoch)
  ), present AS (${PRESENT}
    UNION ALL SELECT shard, epoch, seq, seq FROM unnest($4::int4[], $5::int8[], $6::int8[]) AS k(shard, epoch, seq)
    UNION ALL SELECT shard, epoch, high + 1, high + 1 FROM bounds
  ), steps AS (
    SELECT shard, epoch, seq, GREATEST(low, max(through) OVER (
      PARTITION BY shard, epoch ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS before
    FROM present JOIN bounds USING (shard, epoch)
    WHERE through > low AND seq <= high + 1
  )
  SELECT shard, epoch, before + 1 AS from_seq, seq - 1 AS to_seq
  FROM steps WHERE seq > before + 1 ORDER BY shard, epoch, seq`;

const EPOCHS = `
  WITH stored AS (SELECT shard, epoch, max(through) AS high FROM (${STORED}) AS rows GROUP BY shard, epoch)
  SELECT shard, epoch, GREATEST(high, stored_seq) AS high, COALESCE(seen_seq, 0) AS seen
  FROM stored FULL JOIN spillway.audit_epochs USING (shard, epoch) ORDER BY shard, epoch`;

/**
 * The numbers within `bounds` that no table holds, and nobody in `known`, as ranges. Reads the tables of events whole, and
 * what was cleaned in the same snapshot: a cleanup meanwhile makes no gaps.
 */
export async function findMissing(
  db: Queryable,
  bounds: readonly SeqBounds[],
  known: readonly KnownSeq[],
): Promise<GapRange[]> {
  const { rows } = await db.query<{ shard: number; epoch: string; from_seq: string; to_seq: string }>(MISSING, [
    bounds.map(({ shard }) => shard),
    bounds.map(({ epoch }) => epoch),
    bounds.map(({ high }) => high),
    known.map(({ shard }) => shard),
    known.map(({ epoch }) => epoch),
    known.map(({ seq }) => seq),
  ]);
  return rows.map((row) => ({
    shard: row.shard,
    epoch: Number(row.epoch),
    fromSeq: Number(row.from_seq),
    toSeq: Number(row.to_seq),
  }));
}

/** An epoch of an outbox: `seq` is its highest number that is stored. */
export interface StoredEpoch extends KnownSeq {
  /** The highest number that was seen given out; 0 when none was. */
  readonly seenSeq: number;
}

/** All outboxes that the tables know, each with its highest numbers. */
export async function listEpochs(db: Queryable): Promise<StoredEpoch[]> {
  const { rows } = await db.query<{ shard: number; epoch: string; high: string; seen: string }>(EPOCHS);
  return rows.map((row) => ({
    shard: row.shard,
    epoch: Number(row.epoch),
    seq: Number(row.high),
    seenSeq: Number(row.seen),
  }));
}
