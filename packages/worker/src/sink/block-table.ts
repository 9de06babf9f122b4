import { type BlockRow, upsertBlocks } from '@spillway/db';
import { type BlockEvent, parseBlockEvent } from '@spillway/limiter';
import type { EventTable } from './event-writer.ts';

/** Events of type `block`: snapshots of a block with running totals, one row per block. */
export const blockTable: EventTable<BlockRow> = {
  type: 'block',
  parse: (event) => toRow(parseBlockEvent(event)),
  idOf: (row) => row.id,
  merge: mergeBlocks,
  write: upsertBlocks,
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

function toRow({ shard, epoch, seq, blockedUntilMs, key, identifier, action, ...rest }: BlockEvent): BlockRow {
  return {
    ...rest,
    outboxShard: shard,
    outboxEpoch: epoch,
    outboxSeq: seq,
    key: storable(key),
    identifier: storable(identifier),
    action: storable(action),
    blockedUntilMs: blockedUntilMs === 'forever' ? Infinity : blockedUntilMs,
  };
}

/** Postgres' text holds every character but NUL, and a subject may hold that too. */
function storable(text: string): string {
  return text.replaceAll('\0', '\uFFFD');
}
