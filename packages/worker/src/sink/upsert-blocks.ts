import type { Queryable } from '@spillway/db';
import type { BlockEvent } from '@spillway/limiter';

/**
 * Writes blocks, each id at most once in `rows`. Idempotent, and the same whichever order snapshots of one block come in:
 * totals only grow, the end of the block is that of the later snapshot, and of two snapshots of one millisecond the
 * earlier end. A row that would not change is not written, so that a second delivery costs a look and no dead tuple.
 *
 * @returns how many rows were new or changed.
 * @throws pg's DatabaseError; nothing is written then.
 */
export async function upsertBlocks(db: Queryable, rows: readonly BlockEvent[]): Promise<number> {
  // In the order of their ids: two writers that lock the same rows in different orders deadlock.
  const sorted = rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const { rowCount } = await db.query(
    UPSERT,
    COLUMNS.map(({ value }) => sorted.map(value)),
  );
  return rowCount ?? 0;
}

interface Column {
  readonly name: string;
  /** Type of the array's elements as it is sent. */
  readonly sent: 'uuid' | 'text' | 'bigint' | 'float8';
  readonly value: (row: BlockEvent) => string | number;
}

const COLUMNS: readonly Column[] = [
  { name: 'id', sent: 'uuid', value: (row) => row.id },
  { name: 'key', sent: 'text', value: (row) => storable(row.key) },
  { name: 'tier', sent: 'text', value: (row) => storable(row.tier) },
  { name: 'action', sent: 'text', value: (row) => storable(row.action) },
  { name: 'identifier', sent: 'text', value: (row) => storable(row.identifier) },
  { name: 'limit_count', sent: 'bigint', value: (row) => row.limitCount },
  { name: 'window_ms', sent: 'bigint', value: (row) => row.windowMs },
  { name: 'request_count', sent: 'bigint', value: (row) => row.requestCount },
  { name: 'denied_count', sent: 'bigint', value: (row) => row.deniedCount },
  { name: 'window_start', sent: 'float8', value: (row) => row.windowStartMs },
  { name: 'last_request_at', sent: 'float8', value: (row) => row.lastRequestAtMs },
  {
    name: 'blocked_until',
    sent: 'float8',
    value: (row) => (row.blockedUntilMs === 'forever' ? 'Infinity' : row.blockedUntilMs),
  },
  { name: 'mode', sent: 'text', value: (row) => row.mode },
  { name: 'outbox_shard', sent: 'bigint', value: (row) => row.shard },
  { name: 'outbox_epoch', sent: 'bigint', value: (row) => row.epoch },
  { name: 'outbox_seq', sent: 'bigint', value: (row) => row.seq },
  { name: 'created_at', sent: 'float8', value: (row) => row.createdAtMs },
  { name: 'updated_at', sent: 'float8', value: (row) => row.updatedAtMs },
];

/** Postgres' text holds every character but NUL, and a subject may hold that too. */
function storable(text: string): string {
  return text.replaceAll('\0', '\uFFFD');
}

const names: string = COLUMNS.map(({ name }) => name).join(', ');

/** Milliseconds since 1970 become timestamps; `to_timestamp` keeps them exact, and turns 'Infinity' into 'infinity'. */
const values: string = COLUMNS.map(({ name, sent }) =>
  sent === 'float8' ? `to_timestamp(${name} / 1000)` : name,
).join(', ');

const arrays: string = COLUMNS.map(({ sent }, index) => `$${index + 1}::${sent}[]`).join(', ');

const UPSERT = `
  INSERT INTO rate_limits_v2 AS stored (${names})
  SELECT ${values} FROM unnest(${arrays}) AS sent (${names})
  ON CONFLICT (id) DO UPDATE SET
    denied_count = GREATEST(stored.denied_count, excluded.denied_count),
    last_request_at = GREATEST(stored.last_request_at, excluded.last_request_at),
    blocked_until = CASE
      WHEN excluded.updated_at > stored.updated_at THEN excluded.blocked_until
      WHEN excluded.updated_at = stored.updated_at THEN LEAST(stored.blocked_until, excluded.blocked_until)
      ELSE stored.blocked_until END,
    updated_at = GREATEST(stored.updated_at, excluded.updated_at)
  WHERE excluded.updated_at > stored.updated_at
    OR excluded.denied_count > stored.denied_count
    OR excluded.last_request_at > stored.last_request_at
    OR (excluded.updated_at = stored.updated_at AND excluded.blocked_until < stored.blocked_until)`;
