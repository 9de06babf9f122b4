import { eventFields, type OutboxEvent, outboxEventId } from '@spillway/redis';
import { windowOf } from './window-of-event.ts';
import type { PolicyMode } from '../algorithms/algorithm.ts';

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

const FOREVER = 2 ** 48 - 1;

/** Reads an event of type `block`. @throws {MalformedEventError} of @spillway/redis */
export function parseBlockEvent(event: OutboxEvent): BlockEvent {
  const { number, opening } = eventFields(event);
  const { key, policy, action, subject } = windowOf(event);
  const { shard, epoch, seq, atMs } = opening();
  const until = number('until');
  return {
    id: outboxEventId({ shard, epoch, seq, atMs }),
    shard,
    epoch,
    seq,
    key,
    tier: policy,
    action,
    identifier: subject,
    limitCount: number('limit'),
    windowMs: number('window'),
    requestCount: number('count'),
    deniedCount: number('denied'),
    windowStartMs: number('start'),
    lastRequestAtMs: number('last'),
    blockedUntilMs: until === FOREVER ? 'forever' : until,
    mode: number('mode') === 1 ? 'shadow' : 'enforce',
    createdAtMs: atMs,
    updatedAtMs: event.atMs,
  };
}
