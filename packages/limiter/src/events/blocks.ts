import {
  eventFields,
  type OutboxEvent,
  outboxEventId,
  MalformedEventError,
  type RedisClient,
  type RedisScript,
} from '@spillway/redis';
import type { PolicyMode } from '../algorithms/algorithm.ts';
import { parseWindowKey } from '../window-key.ts';
import { reportTimer, chunks } from './report.ts';

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

/** The window that an event is about. */
export interface EventWindow {
  /** Its key in Redis. */
  readonly key: string;
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
}

/** Reads an event's field `key`. @throws {MalformedEventError} when it is no window's key. */
export function windowOf(event: OutboxEvent): EventWindow {
  const key = eventFields(event).text('key');
  const window = parseWindowKey(key);
  if (window === undefined) throw new MalformedEventError(event.type, 'key', key);
  return { key, ...window };
}

/** What a {@link DeniedCounter} is made of. */
export interface DeniedCounterOptions {
  readonly client: RedisClient;
  readonly script: RedisScript<number>;
  readonly outboxCap: number;
  /** How long refusals of one block are gathered before they are reported. */
  readonly intervalMs: number;
}

/** Counts refusals of blocked subjects and reports them in bulk: a flood costs Redis one event a second and subject. */
export interface DeniedCounter {
  /** `count`: how many. @default 1 */
  add(key: string, count?: number): void;
  /** Reports what is left. */
  close(): Promise<void>;
}

/**
 * Makes a {@link DeniedCounter}. Refusals counted while the connection is away wait for it; those of a report that
 * failed after it was sent are not sent again, since it may have been carried out.
 */
export function deniedCounter({ client, script, outboxCap, intervalMs }: DeniedCounterOptions): DeniedCounter {
  const counts = new Map<string, number>();

  async function report(): Promise<void> {
    const batches = [...chunks(counts, client.isCluster === true)];
    counts.clear();
    await Promise.allSettled(
      batches.map((batch) =>
        script.run(
          client,
          batch.map(([key]) => key),
          [outboxCap, ...batch.map(([, count]) => count)],
        ),
      ),
    );
  }

  const timer = reportTimer({ client, everyMs: intervalMs, report });
  return {
    add(key, count = 1) {
      if (outboxCap === 0) return;
      counts.set(key, (counts.get(key) ?? 0) + count);
      timer.arm();
    },
    close: () => timer.close(counts.size > 0),
  };
}
