import type { BlockRow } from './block-row.ts';
import { type InsertRows, unnestInsert } from './unnest-insert.ts';

/**
 * Inserts blocks into `rate_limits_v2` and returns how many were new. 500 to 2,000 rows a call are fastest.
 * Rejects with pg's error and inserts nothing when one row is bad: see `classifyDbError`.
 */
export const insertBlocks: InsertRows<BlockRow> = unnestInsert('rate_limits_v2', [
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
]);
