import { and, eq, gt, lte, type SQL, sql } from 'drizzle-orm';
import { columnsOf, excluded, now, read, typed } from '../query/typed.ts';
import type { GapKind } from '../schema/columns.ts';
import {
  auditDeadLetters,
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
import type { Queryable } from '../connection.ts';

/** A stretch of one outbox' numbers to look at: from above its watermark through `high`. */
export interface SeqBounds {
  readonly shard: number;
  readonly epoch: number;
  readonly high: number;
}

/** One number of an outbox. */
export interface KnownSeq {
  readonly shard: number;
  readonly epoch: number;
  readonly seq: number;
}

/** Options of the search for missing numbers. */
export interface FindMissingOptions {
  /** How many numbers of one outbox a statement looks at. @default 100_000 */
  readonly pageSize?: number;
  /** When aborted, no further statement is sent. */
  readonly signal?: AbortSignal | undefined;
}

/** Every table that holds sequenced events. Each has an index over the three outbox columns. */
const sequenced = [
  rateLimitsV2,
  circuitBreakerEvents,
  systemMetrics,
  decisionReports,
  changes,
  auditGaps,
  auditDeadLetters,
];

/**
 * The numbers within `bounds` that no table holds, as ranges. Only numbers above the watermark of their
 * outbox are read, in pages. Each page reads the watermark in the snapshot in which it reads the tables: a cleanup meanwhile makes
 * no gaps.
 * @throws the signal's reason when it is aborted, and pg's errors.
 */
export async function findMissing(
  db: Queryable,
  bounds: readonly SeqBounds[],
  { pageSize = 100_000, signal }: FindMissingOptions = {},
): Promise<GapRange[]> {
  const marks = new Map((await readWatermarks(db)).map((mark) => [keyOf(mark), mark.seq]));
  const missing: GapRange[] = [];
  for (const { shard, epoch, high } of bounds.toSorted(byEpoch)) {
    for (let low = marks.get(keyOf({ shard, epoch })) ?? 0; low < high; low += pageSize) {
      signal?.throwIfAborted();
      const page = { shard, epoch, low, high: Math.min(high, low + pageSize) };
      for (const range of await read<GapRange>(db, missingWithin(page))) append(missing, range);
    }
  }
  return missing;
}

interface SeqPage extends SeqBounds {
  /** The last number before the page. */
  readonly low: number;
}

/** The ranges of one page that are nowhere. `low` is moved up where the watermark has passed it meanwhile. */
function missingWithin({ shard, epoch, low, high }: SeqPage): SQL {
  const [first, last] = [sql`${low}::int8`, sql`${high}::int8`];
  const stored = sequenced.map(({ outboxShard, outboxEpoch, outboxSeq }) => {
    const isWithin = and(eq(outboxShard, shard), eq(outboxEpoch, epoch), gt(outboxSeq, low), lte(outboxSeq, high));
    return sql`SELECT ${outboxSeq} AS seq, ${outboxSeq} AS through FROM ${outboxSeq.table} WHERE ${isWithin}`;
  });
  const gap = auditGaps;
  const isGapWithin = and(eq(gap.shard, shard), eq(gap.epoch, epoch), gt(gap.toSeq, low), lte(gap.fromSeq, high));
  const isMissing = eq(gap.kind, 'missing' satisfies GapKind);
  const mark = auditWatermarks;
  return sql`
  WITH passed AS (
    SELECT GREATEST(${first}, (SELECT ${mark.throughSeq} FROM ${mark} WHERE ${and(eq(mark.shard, shard), eq(mark.epoch, epoch))})) AS low
  ), present AS (
    ${sql.join(stored, sql` UNION ALL `)}
    UNION ALL SELECT lower(part), upper(part) - 1
      FROM ${gap}, unnest(${gap.seqs} * int8multirange(int8range(${first}, ${last}, '(]'))) AS part WHERE ${isGapWithin}
    UNION ALL SELECT ${gap.fromSeq}, ${gap.toSeq} FROM ${gap} WHERE ${and(isGapWithin, isMissing)}
    UNION ALL SELECT ${last} + 1, ${last} + 1
  ), steps AS (
    SELECT seq, GREATEST(low, max(through) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS before
    FROM present, passed
  )
  SELECT ${shard}::int4 AS shard, ${epoch}::float8 AS epoch, (before + 1)::float8 AS "fromSeq", (seq - 1)::float8 AS "toSeq"
  FROM steps WHERE seq > before + 1 ORDER BY seq`;
}

/** Adds a range; one that goes on over the end of a page stays one. */
function append(ranges: GapRange[], range: GapRange): void {
  const last = ranges.at(-1);
  if (last?.shard === range.shard && last.epoch === range.epoch && last.toSeq + 1 === range.fromSeq) {
    ranges[ranges.length - 1] = { ...last, toSeq: range.toSeq };
  } else ranges.push(range);
}

type Epoch = Pick<KnownSeq, 'shard' | 'epoch'>;

const keyOf = ({ shard, epoch }: Epoch): string => `${shard}/${epoch}`;
const byEpoch = (one: Epoch, other: Epoch): number => one.shard - other.shard || one.epoch - other.epoch;

async function readWatermarks(db: Queryable): Promise<KnownSeq[]> {
  const { shard, epoch, throughSeq: seq } = columnsOf(auditWatermarks);
  return typed(db).select({ shard, epoch, seq }).from(auditWatermarks);
}

/**
 * Marks the numbers of these outboxes up to `seq` as examined. A watermark never falls. Each outbox and epoch at most once
 * per call.
 */
export async function moveWatermarks(db: Queryable, marks: readonly KnownSeq[]): Promise<void> {
  const { shard, epoch, throughSeq } = auditWatermarks;
  const rows = marks.filter(({ seq }) => seq > 0);
  if (rows.length === 0) return;
  await typed(db)
    .insert(auditWatermarks)
    // In the order of the key, so that it waits for a cleanup instead of deadlocking with it.
    .values(rows.toSorted(byEpoch).map((row) => ({ shard: row.shard, epoch: row.epoch, throughSeq: row.seq })))
    .onConflictDoUpdate({
      target: [shard, epoch],
      set: { throughSeq: excluded(throughSeq), updatedAt: now },
      setWhere: sql`${throughSeq} < ${excluded(throughSeq)}`,
    });
}

/** An epoch of an outbox: `seq` is its highest number that is stored. */
export interface StoredEpoch extends KnownSeq {
  /** The highest number that was seen assigned; 0 if none was. */
  readonly seenSeq: number;
}

/** All outboxes that were ever stored or seen, each with its highest numbers. */
export async function listEpochs(db: Queryable): Promise<StoredEpoch[]> {
  const { shard, epoch, storedSeq: seq, seenSeq } = columnsOf(auditEpochs);
  return typed(db)
    .select({ shard, epoch, seq, seenSeq })
    .from(auditEpochs)
    .orderBy(auditEpochs.shard, auditEpochs.epoch);
}
