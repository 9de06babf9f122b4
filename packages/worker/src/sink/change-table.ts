import { type ChangeRow, insertChanges } from '@spillway/db';
import { parseChangeEvent } from '@spillway/redis';
import { type EventTable, storable } from './event-writer.ts';

/** Events of type `change`: what was changed by hand, one row each. */
export const changeTable: EventTable<ChangeRow> = {
  type: 'change',
  parse: (event) => {
    const { id, shard, epoch, seq, atMs, ...change } = parseChangeEvent(event);
    return {
      id,
      actor: storable(change.actor),
      action: storable(change.action),
      objectKind: storable(change.objectKind),
      object: storable(change.object),
      before: change.before,
      after: change.after,
      note: change.note === null ? null : storable(change.note),
      outboxShard: shard,
      outboxEpoch: epoch,
      outboxSeq: seq,
      createdAtMs: atMs,
    };
  },
  idOf: (row) => row.id,
  // A change happens once; two of one id are the same delivered twice.
  merge: (one) => one,
  write: insertChanges,
};
