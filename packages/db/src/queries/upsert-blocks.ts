import type { BlockRow } from './block-row.ts';
import { type InsertRows, unnestCall } from './unnest-insert.ts';

/**
 * Writes blocks to `rate_limits_v2` and returns how many rows were new or changed. 500 to 2,000 rows a call are fastest.
 *
 * A row is a snapshot of a block. Writing is idempotent, and the same whichever order the snapshots of one block come in:
 * totals only grow, the end is the later snapshot's (by `updatedAtMs`), and of two snapshots of one millisecond the
 * earlier end, because within a block only its lifting moves it. What would not change is not written, so that a second
 * delivery costs a look and no dead tuple.
 *
 * The rules are in the function `upsert_blocks`: a role that may only call it can't change rows in any other way.
 *
 * Each id at most once a call: Postgres refuses to change a row twice in one statement. Rejects with pg's error and
 * writes nothing when one row is bad: see `classifyDbError`.
 */
export const upsertBlocks: InsertRows<BlockRow> = unnestCall('spillway.upsert_blocks', [
  { name: 'id', type: 'uuid', read: (row) => row.id },
  { name: 'key', type: 'text', read: (row) => row.key },
  { name: 'tier', type: 'text', read: (row) => row.tier },
  { name: 'action', type: 'text', read: (row) => row.action },
  { name: 'identifier', type: 'text', read: (row) => row.identifier },
  { name: 'limit_count', type: 'int8', read: (row) => row.limitCount },
  { name: 'window_ms', type: 'int8', read: (row) => row.windowMs },
  { name: 'request_count', type: 'int8', read: (row) => row.requestCount },
  { name: 'denied_count', type: 'int8', read: (row) => row.deniedCount },
  { name: 'window_start', type: 'epoch_ms', read: (row) => row.windowStartMs },
  { name: 'last_request_at', type: 'epoch_ms', read: (row) => row.lastRequestAtMs },
  { name: 'blocked_until', type: 'epoch_ms', read: (row) => row.blockedUntilMs },
  { name: 'mode', type: 'text', read: (row) => row.mode },
  { name: 'outbox_shard', type: 'int4', read: (row) => row.outboxShard },
  { name: 'outbox_epoch', type: 'int8', read: (row) => row.outboxEpoch },
  { name: 'outbox_seq', type: 'int8', read: (row) => row.outboxSeq },
  { name: 'created_at', type: 'epoch_ms', read: (row) => row.createdAtMs },
  { name: 'updated_at', type: 'epoch_ms', read: (row) => row.updatedAtMs },
]);
