import type { OutboxIdentity } from './outbox-identity.ts';
import { type Column, type InsertRows, unnestCall, unnestInsert } from './unnest-insert.ts';

/** Missing sequence numbers of one shard and epoch, both ends included. */
export interface GapRange {
  readonly shard: number;
  readonly epoch: number;
  readonly fromSeq: number;
  readonly toSeq: number;
}

/** Something the trail knows it doesn't hold, as a row of `audit_gaps`. */
export interface GapRow {
  /** UUID computed from what is missing, so that finding it twice leaves one row. */
  readonly id: string;
  /** Such as `missing`, `dropped` or `limiter_outage`. */
  readonly kind: string;
  /** Null for an outage, of which no sequence numbers are known. */
  readonly range: GapRange | null;
  /** The outbox entry that reported it; null when the reconcile found it. */
  readonly outbox: OutboxIdentity | null;
  readonly detail: Readonly<Record<string, unknown>>;
  /** Epoch milliseconds. */
  readonly detectedAtMs: number;
}

const columns: readonly Column<GapRow>[] = [
  { name: 'id', type: 'uuid', read: (row) => row.id },
  { name: 'kind', type: 'text', read: (row) => row.kind },
  { name: 'shard', type: 'int4', read: (row) => row.range?.shard ?? null },
  { name: 'epoch', type: 'int8', read: (row) => row.range?.epoch ?? null },
  { name: 'from_seq', type: 'int8', read: (row) => row.range?.fromSeq ?? null },
  { name: 'to_seq', type: 'int8', read: (row) => row.range?.toSeq ?? null },
  { name: 'detail', type: 'jsonb', read: (row) => JSON.stringify(row.detail) },
  { name: 'detected_at', type: 'epoch_ms', read: (row) => row.detectedAtMs },
  { name: 'outbox_shard', type: 'int4', read: (row) => row.outbox?.outboxShard ?? null },
  { name: 'outbox_epoch', type: 'int8', read: (row) => row.outbox?.outboxEpoch ?? null },
  { name: 'outbox_seq', type: 'int8', read: (row) => row.outbox?.outboxSeq ?? null },
];

/**
 * Inserts gaps and returns how many were new.
 * Rejects with pg's error and inserts nothing when one row is bad (a range that ends before it begins).
 */
export const insertGaps: InsertRows<GapRow> = unnestInsert('spillway.audit_gaps', columns);

/**
 * Inserts outages, whose `detail` is a snapshot with running totals and a growing number of `reports`, and returns how many
 * rows were new or changed: of two snapshots of one outage the one with more reports stays, whichever comes first.
 * One outage may be in `rows` once. Rejects as {@link insertGaps} does.
 */
export const upsertOutages: InsertRows<GapRow> = unnestCall('spillway.upsert_outages', columns);
