import { type OutboxEvent, outboxEventId } from '@spillway/redis';
import type { PolicyMode } from './types.ts';
import { parseWindowKey } from './window-key.ts';

/**
 * A block as one outbox event tells it: a snapshot with running totals. Of two snapshots with one id the one with the
 * later `updatedAtMs` holds. Times are in ms since 1970 by Redis' clock.
 */
export interface BlockEvent {
  /** The block's id, the same in all its snapshots. */
  readonly id: string;
  /** Identity of the event that opened the block. */
  readonly shard: number;
  readonly epoch: number;
  readonly seq: number;
  /** The window's key in Redis. */
  readonly key: string;
  /** The policy. */
  readonly tier: string;
  readonly action: string;
  /** The subject. */
  readonly identifier: string;
  readonly limitCount: number;
  readonly windowMs: number;
  /** Units in the window when the block began. */
  readonly requestCount: number;
  /** Requests refused so far. */
  readonly deniedCount: number;
  /** Time of the oldest of those units. */
  readonly windowStartMs: number;
  readonly lastRequestAtMs: number;
  readonly blockedUntilMs: number | 'forever';
  readonly mode: PolicyMode;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** An event that isn't the snapshot of a block it claims to be. */
export class MalformedBlockEventError extends Error {
  readonly code = 'malformed_block_event';
  override readonly name = 'MalformedBlockEventError';
  readonly field: string;

  constructor(field: string, value: string | undefined) {
    super(`block event: field "${field}" is ${value === undefined ? 'missing' : JSON.stringify(value)}`);
    this.field = field;
  }
}

const FOREVER = 2 ** 48 - 1;

/** Reads an event of type `block`. @throws {MalformedBlockEventError} */
export function parseBlockEvent(event: OutboxEvent): BlockEvent {
  const { fields } = event;
  const number = (field: string): number => {
    const value = fields[field];
    if (value === undefined || !/^\d{1,15}$/.test(value)) throw new MalformedBlockEventError(field, value);
    return Number(value);
  };
  const key = fields['key'];
  const window = key === undefined ? undefined : parseWindowKey(key);
  if (key === undefined || window === undefined) throw new MalformedBlockEventError('key', key);
  const opening = number('id_seq') === 0;
  const identity = opening
    ? { shard: event.shard, epoch: event.epoch, seq: event.seq, atMs: event.atMs }
    : { shard: event.shard, epoch: number('id_epoch'), seq: number('id_seq'), atMs: number('id_at') };
  const until = number('until');
  return {
    id: outboxEventId(identity),
    shard: identity.shard,
    epoch: identity.epoch,
    seq: identity.seq,
    key,
    tier: window.policy,
    action: window.action,
    identifier: window.subject,
    limitCount: number('limit'),
    windowMs: number('window'),
    requestCount: number('count'),
    deniedCount: number('denied'),
    windowStartMs: number('start'),
    lastRequestAtMs: number('last'),
    blockedUntilMs: until === FOREVER ? 'forever' : until,
    mode: number('mode') === 1 ? 'shadow' : 'enforce',
    createdAtMs: identity.atMs,
    updatedAtMs: event.atMs,
  };
}
