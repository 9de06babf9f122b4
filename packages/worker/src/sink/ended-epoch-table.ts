import { endEpochs, type EndedEpochRow } from '@spillway/db';
import { eventFields, type OutboxEvent } from '@spillway/redis';
import { droppedId, endedEpochId } from '../deterministic-uuid.ts';
import type { EventTable } from './event-writer.ts';

/** Events of type `epoch`: an epoch of an outbox is over, one row of kind `epoch_ended`, whichever process reports it. */
export const endedEpochTable: EventTable<EndedEpochRow> = {
  type: 'epoch',
  parse: toRow,
  idOf: (row) => row.id,
  merge: (one, other) => ({
    ...other,
    seenSeq: Math.max(one.seenSeq, other.seenSeq),
    dropped: (one.dropped?.count ?? 0) > (other.dropped?.count ?? 0) ? one.dropped : other.dropped,
  }),
  write: endEpochs,
};

function toRow(event: OutboxEvent): EndedEpochRow {
  const { text, number } = eventFields(event);
  const { shard, atMs } = event;
  const epoch = number('ended');
  const isDroppedKnown = text('dropped') !== '';
  return {
    id: endedEpochId(shard, epoch),
    shard,
    epoch,
    seenSeq: number('seen'),
    detail: { nextEpoch: number('next'), endedAt: new Date(atMs).toISOString() },
    dropped: isDroppedKnown ? { id: droppedId(shard, epoch), count: number('dropped') } : null,
  };
}
