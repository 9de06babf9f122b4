import { and, eq, isNotNull, isNull, sql } from 'drizzle-orm';
import { equals, type Page, type PageOptions, readPage, when } from '../query/keyset-page.ts';
import { columnsOf, excluded, now, typed } from '../query/typed.ts';
import { type InsertRows, type NewRow, unnestCall, unnestInsert } from '../query/unnest-insert.ts';
import { auditGaps } from '../schema/audit.ts';
import type { GapKind } from '../schema/columns.ts';
import type { Change } from './changes.ts';
import type { Queryable } from '../connection.ts';

/** Missing sequence numbers of one shard and epoch, both ends included. */
export interface GapRange {
  readonly shard: number;
  readonly epoch: number;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/**
 * Something the trail knows it doesn't hold, as a row of `audit_gaps`. The range is absent for an outage, of which no sequence
 * numbers are known; the place in the outbox is that of the entry that reported it, absent when the reconcile found it.
 */
export type GapRow = NewRow<typeof auditGaps, 'resolvedAtMs' | 'seqs'>;

/**
 * Inserts gaps and returns how many were new.
 * Rejects with pg's error and inserts nothing when one row is bad (a range that ends before it begins).
 */
export const insertGaps: InsertRows<GapRow> = unnestInsert(auditGaps, ['resolvedAtMs', 'seqs']);

/**
 * Inserts outages, whose `detail` is a snapshot with running totals and a growing number of `reports`, and returns how many
 * rows were new or changed: of two snapshots of one outage the one with more reports stays, whichever comes first.
 * One outage may be in `rows` once. Rejects as {@link insertGaps} does.
 */
export const upsertOutages: InsertRows<GapRow> = unnestCall('spillway.upsert_outages', auditGaps, [
  'resolvedAtMs',
  'seqs',
]);

/** Events that a full outbox refused, as a row of `audit_gaps` of kind `dropped`: one a shard and epoch, whose count grows. */
export interface DroppedRow {
  /** UUID computed from shard and epoch. */
  readonly id: string;
  readonly shard: number;
  readonly epoch: number;
  /** So many were refused so far. */
  readonly count: number;
}

/** Writes the counts. A count never shrinks, whichever write comes last. */
export async function upsertDropped(db: Queryable, rows: readonly DroppedRow[]): Promise<void> {
  if (rows.length === 0) return;
  const { id, detail, detectedAtMs } = auditGaps;
  await typed(db)
    .insert(auditGaps)
    // In the order of the key, so that two writers wait for each other instead of deadlocking.
    .values(
      rows
        .toSorted((one, other) => (one.id < other.id ? -1 : 1))
        .map(({ id: gap, shard, epoch, count }) => ({
          id: gap,
          kind: 'dropped' satisfies GapKind,
          shard,
          epoch,
          detail: { count },
        })),
    )
    .onConflictDoUpdate({
      target: id,
      set: { detail: excluded(detail), detectedAtMs: excluded(detectedAtMs) },
      setWhere: sql`(${excluded(detail)}->>'count')::int8 > (${detail}->>'count')::int8`,
    });
}

/** Something the trail knows it does not hold, as it is read. Times are epoch ms. */
export type StoredGap = Readonly<
  Omit<typeof auditGaps.$inferSelect, 'seqs' | 'outboxShard' | 'outboxEpoch' | 'outboxSeq'>
>;

/** Which gaps, and from where on. */
export interface ListGapsOptions extends PageOptions {
  readonly kind?: string;
  /** true: closed again; false: open. @default both */
  readonly resolved?: boolean;
}

const { seqs: _seqs, outboxShard: _shard, outboxEpoch: _epoch, outboxSeq: _seq, ...shown } = columnsOf(auditGaps);

/** One page of gaps, the last found first, filtered. */
export async function listGaps(db: Queryable, options: ListGapsOptions = {}): Promise<Page<StoredGap>> {
  const { kind, resolvedAtMs } = auditGaps;
  return readPage(auditGaps, 'detectedAtMs', options, async ({ where, orderBy, limit }) =>
    typed(db)
      .select(shown)
      .from(auditGaps)
      .where(
        and(
          where,
          equals(kind, options.kind),
          when(options.resolved, (resolved) => (resolved ? isNotNull(resolvedAtMs) : isNull(resolvedAtMs))),
        ),
      )
      .orderBy(...orderBy)
      .limit(limit),
  );
}

/** The result of resolving a gap. */
export type GapResolution =
  | { readonly kind: 'resolved'; readonly gap: StoredGap }
  /** Another request was first: nothing was changed. */
  | { readonly kind: 'resolved_before'; readonly gap: StoredGap }
  | { readonly kind: 'unknown' };

/**
 * Resolves a gap: it no longer counts for an alert. Actor and reason belong into `spillway.changes`, in the
 * same transaction.
 * @param id a UUID.
 */
export async function resolveGap(db: Queryable, id: string): Promise<GapResolution> {
  const open = and(eq(auditGaps.id, id), isNull(auditGaps.resolvedAtMs));
  const { rowCount } = await typed(db).update(auditGaps).set({ resolvedAtMs: now }).where(open);
  const [gap] = await typed(db).select(shown).from(auditGaps).where(eq(auditGaps.id, id));
  if (gap === undefined) return { kind: 'unknown' };
  return { kind: rowCount === 0 ? 'resolved_before' : 'resolved', gap };
}

/** The row of `spillway.changes` for it, without its actor; undefined if nothing was changed. */
export function gapChange(result: GapResolution, note: string): Omit<Change, 'actor'> | undefined {
  if (result.kind !== 'resolved') return undefined;
  const { id, kind, shard, epoch, fromSeq, toSeq, resolvedAtMs } = result.gap;
  const what = { kind, shard, epoch, fromSeq, toSeq };
  const before = { ...what, resolvedAtMs: null };
  return { action: 'resolve_gap', objectKind: 'gap', object: id, before, after: { ...what, resolvedAtMs }, note };
}
