import { type ChangeRow, insertChanges } from '@spillway/db';
import { parseChangeEvent } from '@spillway/redis';
import { type EventTable, withoutNul } from './event-writer.ts';

/** Events of type `change`: what was changed by hand, one row each. */
export const changeTable: EventTable<ChangeRow> = {
  type: 'change',
  parse: (event) => {
    const { id, shard, epoch, seq, atMs, ...change } = parseChangeEvent(event);
    return {
      id,
      actor: withoutNul(change.actor),
      action: withoutNul(change.action),
      objectKind: withoutNul(change.objectKind),
      object: withoutNul(change.object),
      before: change.before,
      after: change.after,
      note: change.note === null ? null : withoutNul(change.note),
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
