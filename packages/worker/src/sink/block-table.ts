import { type BlockRow, upsertBlocks } from '@spillway/db';
import { type BlockEvent, parseBlockEvent } from '@spillway/limiter';
import { type EventTable, withoutNul } from './event-writer.ts';

/** Events of type `block`: snapshots of a block with running totals, one row per block, as far as the limit of rows goes. */
export const blockTable: EventTable<BlockRow> = {
  type: 'block',
  parse: (event) => toRow(parseBlockEvent(event)),
  idOf: (row) => row.id,
  merge: mergeBlocks,
  write: async (db, rows, { blockRowsPerMinute }) => upsertBlocks(db, rows, blockRowsPerMinute),
};

/** Two snapshots of one block as one, in whichever order they came, by the same rules as `upsertBlocks`. */
export function mergeBlocks(one: BlockRow, other: BlockRow): BlockRow {
  const [older, newer] = one.updatedAtMs <= other.updatedAtMs ? [one, other] : [other, one];
  const sameMoment = older.updatedAtMs === newer.updatedAtMs;
  return {
    ...newer,
    deniedCount: Math.max(one.deniedCount, other.deniedCount),
    lastRequestAtMs: Math.max(one.lastRequestAtMs, other.lastRequestAtMs),
    blockedUntilMs: sameMoment ? Math.min(one.blockedUntilMs, other.blockedUntilMs) : newer.blockedUntilMs,
  };
}

/** Field by field: a rest pattern here was the sink's dearest line. */
function toRow(event: BlockEvent): BlockRow {
  return {
    id: event.id,
    key: withoutNul(event.key),
    tier: event.tier,
    action: withoutNul(event.action),
    identifier: withoutNul(event.identifier),
    limitCount: event.limitCount,
    windowMs: event.windowMs,
    requestCount: event.requestCount,
    deniedCount: event.deniedCount,
    windowStartMs: event.windowStartMs,
    lastRequestAtMs: event.lastRequestAtMs,
    blockedUntilMs: event.blockedUntilMs === 'forever' ? Infinity : event.blockedUntilMs,
    mode: event.mode,
    outboxShard: event.shard,
    outboxEpoch: event.epoch,
    outboxSeq: event.seq,
    createdAtMs: event.createdAtMs,
    updatedAtMs: event.updatedAtMs,
  };
}
