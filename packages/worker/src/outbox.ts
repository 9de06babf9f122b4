import type { KnownSeq } from '@spillway/db';
import { outboxKeys, parseOutboxEntry } from '@spillway/redis';
import type { Cluster, Redis } from 'ioredis';
import { createHash } from 'node:crypto';

/** What is read of outboxes without taking anything. */
export type OutboxClient = Pick<Redis | Cluster, 'hmget' | 'xlen' | 'xrange'>;

/** Where a shard's counters stand. */
export interface OutboxHead {
  readonly shard: number;
  /** 0 for a shard that never had an event. */
  readonly epoch: number;
  /** The last number that was given. */
  readonly seq: number;
  /** Events that a full outbox refused in this epoch. */
  readonly dropped: number;
}

/** Reads the counters of a shard. */
export async function readHead(redis: Pick<OutboxClient, 'hmget'>, shard: number, namespace = ''): Promise<OutboxHead> {
  const [epoch, seq, dropped] = await redis.hmget(outboxKeys(shard, namespace).head, 'epoch', 'seq', 'dropped');
  return { shard, epoch: Number(epoch ?? 0), seq: Number(seq ?? 0), dropped: Number(dropped ?? 0) };
}

/**
 * An outbox entry on its way: its shard, the stream's id for it, and its names and values in turn, as they were written.
 * Only the sink reads the fields, so that a malformed entry can't stop the pump.
 */
export type AuditEntry = readonly [shard: number, id: string, fields: readonly string[]];

/** A UUID version 8 (RFC 9562) derived from a hash: equal values have equal ids in every process. */
export function deterministicUuid(value: unknown): string {
  const hex = createHash('sha256').update(JSON.stringify(value)).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The row of `audit_gaps` for the events that a full outbox dropped in an epoch. */
export const droppedId = (shard: number, epoch: number): string => deterministicUuid(['dropped', shard, epoch]);

/** The row for the end of the epoch. */
export const endedEpochId = (shard: number, epoch: number): string => deterministicUuid(['epoch_ended', shard, epoch]);

/** Where an event stands; undefined for one that has no number, or is no event. */
export function sequenceOf([shard, id, fields]: AuditEntry): KnownSeq | undefined {
  try {
    const { epoch, seq } = parseOutboxEntry(shard, [id, fields]);
    return seq > 0 ? { shard, epoch, seq } : undefined;
  } catch {
    return undefined;
  }
}
