import type { Queryable } from '@spillway/db';
import type { AuditEntry } from '@spillway/worker';

/** What a service without batches writes: one row, one statement, one commit. */
export async function insertOne(db: Queryable, [shard, , fields]: AuditEntry): Promise<void> {
  const value = (name: string): string => fields[fields.indexOf(name) + 1] ?? '';
  const ms = (name: string): Date => new Date(Number(value(name)));
  await db.query(
    `INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
       window_start, last_request_at, blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at, updated_at)
     VALUES (gen_random_uuid(), $1, 'generation', 'generate-content', $2, $3, $4, $5, $6, $7, $8, $9, 'enforce', $10, $11,
       $12, $13, $13) ON CONFLICT DO NOTHING`,
    [
      value('key'),
      value('key').split(':').at(-1),
      ...['limit', 'window', 'count', 'denied'].map(value),
      ...['start', 'last', 'until'].map(ms),
      shard,
      value('epoch'),
      value('seq'),
      ms('at'),
    ],
  );
}
