import { type InsertRows, unnestInsert } from './unnest-insert.ts';

/** Events that a full outbox refused, as a row of `audit_gaps` of kind `dropped`: one a shard and epoch, whose count grows. */
export interface DroppedRow {
  /** UUID computed from shard and epoch. */
  readonly id: string;
  readonly shard: number;
  readonly epoch: number;
  /** So many were refused so far. */
  readonly count: number;
  /** Epoch milliseconds. */
  readonly detectedAtMs: number;
}

/** Writes the counts and returns how many rows were new or grew. A count never shrinks, whoever comes late. */
export const upsertDropped: InsertRows<DroppedRow> = unnestInsert(
  'audit_gaps',
  [
    { name: 'id', type: 'uuid', read: (row) => row.id },
    { name: 'kind', type: 'text', read: () => 'dropped' },
    { name: 'shard', type: 'int4', read: (row) => row.shard },
    { name: 'epoch', type: 'int8', read: (row) => row.epoch },
    { name: 'detail', type: 'jsonb', read: (row) => JSON.stringify({ count: row.count }) },
    { name: 'detected_at', type: 'epoch_ms', read: (row) => row.detectedAtMs },
  ],
  `(id) DO UPDATE SET detail = excluded.detail, detected_at = excluded.detected_at
    WHERE (excluded.detail->>'count')::int8 > (stored.detail->>'count')::int8`,
);
