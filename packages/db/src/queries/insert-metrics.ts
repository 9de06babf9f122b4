import type { OutboxIdentity } from './outbox-identity.ts';
import { type InsertRows, unnestInsert } from './unnest-insert.ts';

/** One sample, as a row of `system_metrics`. */
export interface MetricRow {
  /** UUID of the writer's choice; the same id again inserts nothing. */
  readonly id: string;
  readonly metricName: string;
  /** Finite. */
  readonly metricValue: number;
  /** Such as `ms`; null for a plain number. */
  readonly metricUnit: string | null;
  readonly tags: Readonly<Record<string, unknown>>;
  /** Epoch milliseconds. */
  readonly recordedAtMs: number;
  /** Where it was in an outbox; null when it came by itself. */
  readonly outbox: OutboxIdentity | null;
}

/**
 * Inserts samples and returns how many were new.
 * Rejects with pg's error and inserts nothing when one row is bad (a value that isn't finite, an empty name).
 */
export const insertMetrics: InsertRows<MetricRow> = unnestInsert('public.system_metrics', [
  { name: 'id', type: 'uuid', read: (row) => row.id },
  { name: 'metric_name', type: 'text', read: (row) => row.metricName },
  { name: 'metric_value', type: 'numeric', read: (row) => row.metricValue },
  { name: 'metric_unit', type: 'text', read: (row) => row.metricUnit },
  { name: 'tags', type: 'jsonb', read: (row) => JSON.stringify(row.tags) },
  { name: 'recorded_at', type: 'epoch_ms', read: (row) => row.recordedAtMs },
  { name: 'outbox_shard', type: 'int4', read: (row) => row.outbox?.outboxShard ?? null },
  { name: 'outbox_epoch', type: 'int8', read: (row) => row.outbox?.outboxEpoch ?? null },
  { name: 'outbox_seq', type: 'int8', read: (row) => row.outbox?.outboxSeq ?? null },
]);
