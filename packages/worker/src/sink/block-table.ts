import { parseBlockEvent, type BlockEvent } from '@spillway/limiter';
import type { EventTable } from './event-writer.ts';
import { upsertBlocks } from './upsert-blocks.ts';

/** Events of type `block`: snapshots of a block with running totals, one row per block. */
export const blockTable: EventTable<BlockEvent> = {
  type: 'block',
  parse: parseBlockEvent,
  idOf: (row) => row.id,
  merge: mergeBlocks,
  write: upsertBlocks,
};

/**
 * Two snapshots of one block as one, in whichever order they came. The same rules as in the statement that writes them:
 * totals only grow, and the end is the later snapshot's; of two snapshots of one millisecond, the earlier end, because
 * within a block only its lifting moves it.
 */
export function mergeBlocks(one: BlockEvent, other: BlockEvent): BlockEvent {
  const [older, newer] = one.updatedAtMs <= other.updatedAtMs ? [one, other] : [other, one];
  const sameMoment = older.updatedAtMs === newer.updatedAtMs;
  const ends = [endOf(older), endOf(newer)];
  return {
    ...newer,
    deniedCount: Math.max(one.deniedCount, other.deniedCount),
    lastRequestAtMs: Math.max(one.lastRequestAtMs, other.lastRequestAtMs),
    blockedUntilMs: sameMoment ? asEnd(Math.min(...ends)) : newer.blockedUntilMs,
  };
}

function endOf({ blockedUntilMs }: BlockEvent): number {
  return blockedUntilMs === 'forever' ? Infinity : blockedUntilMs;
}

function asEnd(ms: number): number | 'forever' {
  return ms === Infinity ? 'forever' : ms;
}
