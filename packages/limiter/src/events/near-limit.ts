import type { Decision } from '../types.ts';
import type { Policy } from '../algorithms/registry.ts';
import { eventFields, type OutboxEvent, outboxEventId, type RedisClient, type RedisScript } from '@spillway/redis';
import { windowOf } from './blocks.ts';
import { LRUCache } from 'lru-cache';
import type { LimiterStore, StoreRequest } from '../store/store.ts';
import { parseWindowKey } from '../window-key.ts';
import { reportTimer, chunks } from './report.ts';

/** Units that may be left for a subject to count as near its limit: 20 of 100 for the share 0.8. */
function unitsLeftAt(limit: number, share: number): number {
  // 100 × 0.55 is a hair above 55 in floating point; the 55th unit must count all the same.
  return limit - Math.ceil(limit * share - 1e-9);
}

/** Whether an admitted request leaves its subject at or beyond the policy's share of the limit. */
export function isNearLimit({ nearLimit }: Policy, { reason, limit, remaining }: Decision): boolean {
  return nearLimit !== undefined && reason === 'allowed' && remaining <= unitsLeftAt(limit, nearLimit);
}

/** Whether it was this very request that brought it there: before it, more was left than the threshold. */
export function crossesNearLimit({ nearLimit }: Policy, { limit, remaining }: Decision, cost: number): boolean {
  if (nearLimit === undefined) return false;
  const threshold = unitsLeftAt(limit, nearLimit);
  return remaining <= threshold && remaining + cost > threshold;
}

/** A subject that came near its limit, as one outbox event tells it. */
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
  const { number } = eventFields(event);
  const { policy, action, subject } = windowOf(event);
  return {
    id: outboxEventId(event),
    policy,
    action,
    subject,
    limit: number('limit'),
    remaining: number('remaining'),
    atMs: event.atMs,
  };
}

/** A subject that has just come near its limit. */
export interface NearLimitCrossing {
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
  /** Units in a window. */
  readonly limit: number;
  /** Units left after the request that crossed. */
  readonly remaining: number;
}

/** Told of each decision that crosses; passes on what is news. */
export type NearLimitNotice = (request: StoreRequest, decision: Decision) => void;

/** Who gets the news. */
export interface NoticeOptions {
  readonly store: Pick<LimiterStore, 'nearLimit'>;
  readonly onNearLimit: ((crossing: NearLimitCrossing) => void) | undefined;
}

/** So many subjects are remembered as known to be near; the ones not heard of for longest go first. */
const MAX_REMEMBERED = 10_000;

/**
 * Makes a {@link NearLimitNotice} that passes on at most one crossing of a window's length per window: in a sliding
 * window units leave one by one, and a subject that stays busy crosses again with every second request.
 */
export function nearLimitNotice({ store, onNearLimit }: NoticeOptions): NearLimitNotice {
  let toldAtMs: LRUCache<string, number> | undefined;
  return ({ key, policy }, { limit, remaining, resetAt, resetAfterMs }) => {
    toldAtMs ??= new LRUCache<string, number>({ max: MAX_REMEMBERED });
    // The store's clock. A failover may step it back: a time that is still to come says nothing.
    const nowMs = resetAt - resetAfterMs;
    const lastMs = toldAtMs.get(key);
    if (lastMs !== undefined && lastMs <= nowMs && nowMs < lastMs + policy.windowMs) return;
    toldAtMs.set(key, nowMs);
    store.nearLimit?.(key, limit, remaining);
    const window = onNearLimit === undefined ? undefined : parseWindowKey(key);
    if (window !== undefined) onNearLimit?.({ ...window, limit, remaining });
  };
}

/** What a {@link NearLimitReporter} is made of. */
export interface NearLimitReporterOptions {
  readonly client: RedisClient;
  readonly script: RedisScript<number>;
  readonly outboxCap: number;
  /** How long crossings are gathered before they are written. */
  readonly intervalMs: number;
  /** Told how many crossings found no room. */
  readonly onDropped: (count: number) => void;
}

/** Writes crossings of near-limit thresholds into the outboxes, in bulk and off the path of decisions. */
export interface NearLimitReporter {
  add(key: string, limit: number, remaining: number): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

type Crossing = readonly [key: string, limit: number, remaining: number];

/** Most crossings that wait while Redis is away. */
const MAX_WAITING = 10_000;

/**
 * Makes a {@link NearLimitReporter}. Crossings wait for a connection that is away, as many as there is room for; those of
 * a call that failed after it was sent are not sent again, since it may have been carried out.
 */
export function nearLimitReporter(options: NearLimitReporterOptions): NearLimitReporter {
  const { client, script, outboxCap, intervalMs, onDropped } = options;
  let waiting: Crossing[] = [];

  async function write(batch: readonly Crossing[]): Promise<void> {
    const keys = batch.map(([key]) => key);
    const written = await script.run(client, keys, [
      outboxCap,
      ...batch.flatMap(([, limit, remaining]) => [limit, remaining]),
    ]);
    if (written < batch.length) onDropped(batch.length - written);
  }

  async function report(): Promise<void> {
    const all = waiting;
    waiting = [];
    await Promise.allSettled([...chunks(all, client.isCluster === true)].map(write));
  }

  const timer = reportTimer({ client, everyMs: intervalMs, report });
  return {
    add(key, limit, remaining) {
      if (outboxCap === 0) return;
      if (waiting.length === MAX_WAITING) {
        onDropped(1);
        return;
      }
      waiting.push([key, limit, remaining]);
      timer.arm();
    },
    close: () => timer.close(waiting.length > 0),
  };
}
