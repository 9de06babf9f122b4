import type { Queryable } from '../connection/connection.ts';

/** Events that a full outbox refused, as a row of `audit_gaps` of kind `dropped`: one a shard and epoch, whose count grows. */
export interface DroppedRow {
  /** UUID computed from shard and epoch. */
  readonly id: string;
  readonly shard: number;
  readonly epoch: number;
  /** So many were refused so far. */
  readonly count: number;
}

const QUERY = `
  INSERT INTO spillway.audit_gaps AS stored (id, kind, shard, epoch, detail)
  SELECT id, 'dropped', shard, epoch, jsonb_build_object('count', count)
  FROM unnest($1::uuid[], $2::int4[], $3::int8[], $4::int8[]) AS row (id, shard, epoch, count)
  ORDER BY id
  ON CONFLICT (id) DO UPDATE SET detail = excluded.detail, detected_at = excluded.detected_at
  WHERE (excluded.detail->>'count')::int8 > (stored.detail->>'count')::int8`;

/** Writes the counts. A count never shrinks, whoever comes late. */
export async function upsertDropped(db: Queryable, rows: readonly DroppedRow[]): Promise<void> {
  if (rows.length === 0) return;
  await db.query(QUERY, [
    rows.map(({ id }) => id),
    rows.map(({ shard }) => shard),
    rows.map(({ epoch }) => epoch),
    rows.map(({ count }) => count),
  ]);
}
