import { EventFields, MalformedEventError, type OutboxEvent, outboxEventId } from '@spillway/redis';
import type { PolicyMode } from '../algorithms/algorithm.ts';
import { parseWindowKey } from '../store/store.ts';

/**
 * A block, as one outbox event describes it: a snapshot with running totals. Of two snapshots with one id the one with the
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
  const fields = new EventFields(event);
  const { key, policy, action, subject } = windowOf(event);
  const { shard, epoch, seq, atMs } = fields.opening();
  const until = fields.number('until');
  return {
    id: outboxEventId({ shard, epoch, seq, atMs }),
    shard,
    epoch,
    seq,
    key,
    tier: policy,
    action,
    identifier: subject,
    limitCount: fields.number('limit'),
    windowMs: fields.number('window'),
    requestCount: fields.number('count'),
    deniedCount: fields.number('denied'),
    windowStartMs: fields.number('start'),
    lastRequestAtMs: fields.number('last'),
    blockedUntilMs: until === FOREVER ? 'forever' : until,
    mode: fields.number('mode') === 1 ? 'shadow' : 'enforce',
    createdAtMs: atMs,
    updatedAtMs: event.atMs,
  };
}

/** The window that an event is about. */
export interface EventWindow {
  /** Its key in Redis. */
  readonly key: string;
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
}

/** Reads an event's field `key`. @throws {MalformedEventError} when it is no window's key. */
function windowOf(event: OutboxEvent): EventWindow {
  const key = new EventFields(event).text('key');
  const window = parseWindowKey(key);
  if (window === undefined) throw new MalformedEventError(event.type, 'key', key);
  return { key, policy: window.policy, action: window.action, subject: window.subject };
}

/** A subject that came near its limit, as one outbox event describes it. */
export interface NearLimitEvent {
  /** The event's id, the same at every delivery. */
  readonly id: string;
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
  /** Units in a window. */
  readonly limit: number;
  /** Units left after the request that crossed the threshold. */
  readonly remaining: number;
  /** When it was recorded, about a second after the crossing at most; ms since 1970 by Redis' clock. */
  readonly atMs: number;
}

/** Reads an event of type `near_limit`. @throws {MalformedEventError} of @spillway/redis */
export function parseNearLimitEvent(event: OutboxEvent): NearLimitEvent {
  const fields = new EventFields(event);
  const { policy, action, subject } = windowOf(event);
  return {
    id: outboxEventId(event),
    policy,
    action,
    subject,
    limit: fields.number('limit'),
    remaining: fields.number('remaining'),
    atMs: event.atMs,
  };
}

/** How many decisions of one policy had one outcome in one process, as one outbox event describes it. */
export interface DecisionCountsEvent {
  /** The event's id, the same at every delivery. */
  readonly id: string;
  readonly policy: string;
  /** Their reason, a `DecisionReason`. */
  readonly outcome: string;
  readonly count: number;
  /** Length of the time in which they were counted, in ms; it ended at `atMs`. */
  readonly overMs: number;
  /** Ms since 1970 by Redis' clock. */
  readonly atMs: number;
}

/** Reads an event of type `decisions`. @throws {MalformedEventError} of @spillway/redis */
export function parseDecisionCountsEvent(event: OutboxEvent): DecisionCountsEvent {
  const fields = new EventFields(event);
  return {
    id: outboxEventId(event),
    policy: fields.text('policy', /^[a-z0-9_-]{1,64}$/u),
    outcome: fields.text('outcome', /^[a-z_]{1,32}$/u),
    count: fields.number('count'),
    overMs: fields.number('over'),
    atMs: event.atMs,
  };
}
