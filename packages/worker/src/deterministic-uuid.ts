import { createHash } from 'node:crypto';

/** A UUID version 8 (RFC 9562) derived from a hash: equal values have equal ids in every process. */
export function deterministicUuid(value: unknown): string {
  const hex = createHash('sha256').update(JSON.stringify(value)).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The row of `audit_gaps` for the events that a full outbox dropped in an epoch. */
export const droppedId = (shard: number, epoch: number): string => deterministicUuid(['dropped', shard, epoch]);

/** The row for the end of the epoch. */
export const endedEpochId = (shard: number, epoch: number): string => deterministicUuid(['epoch_ended', shard, epoch]);
