import type { Queryable } from '@spillway/db';
import { block } from './events.ts';

/** Rows a statement: as many as the worker's own writes usually have. */
const ROWS = 500;

const INSERT = `INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
   window_start, last_request_at, blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at, updated_at)
 SELECT gen_random_uuid(), key, 'generation', 'generate-content', identifier, 20, 60000, 20, 1,
   at - interval '30 seconds', at, at + interval '2 minutes', 'enforce', shard, epoch, seq, at, at
 FROM unnest($1::text[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::timestamptz[])
   AS rows (key, identifier, shard, epoch, seq, at)`;

/** What Postgres does alone: makes the rows of so many events ready, and returns what inserts them, over three connections. */
export function manyInserts(db: Queryable, events: number): () => Promise<void> {
  const batches = Array.from({ length: Math.ceil(events / ROWS) }, (_, batch) =>
    columns(batch * ROWS + 1, Math.min(events, (batch + 1) * ROWS)),
  );
  return async () => {
    await Promise.all(Array.from({ length: 3 }, async () => insertAll(db, batches)));
  };
}

async function insertAll(db: Queryable, batches: unknown[][][]): Promise<void> {
  for (let batch = batches.pop(); batch !== undefined; batch = batches.pop()) await db.query(INSERT, batch);
}

function columns(first: number, last: number): unknown[][] {
  const rows = Array.from({ length: last - first + 1 }, (_, index) => block(first + index));
  const values = (name: string): string[] => rows.map(({ fields }) => fields[fields.indexOf(name) + 1] ?? '');
  const keys = values('key');
  return [
    keys,
    keys.map((key) => key.split(':').at(-1)),
    rows.map(({ shard }) => shard),
    values('epoch'),
    values('seq'),
    values('at').map((at) => new Date(Number(at))),
  ];
}
