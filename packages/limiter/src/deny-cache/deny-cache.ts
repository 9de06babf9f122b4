import { monotonicClock } from '@spillway/redis/core';
import type { Policy } from '../algorithms/registry.ts';
import type { Bus } from '../live/bus.ts';
import {
  DEFAULT_ACTION,
  type LimiterStore,
  parseWindowKey,
  type StoreRequest,
  type StoreWindow,
} from '../store/store.ts';
import type { ConsumeOptions, Decision } from '../types.ts';
import { BlockMemory } from './block-memory.ts';

/** What a {@link DenyCache} is made of. */
export interface DenyCacheOptions {
  readonly bus: Bus;
  /** Most blocks that are remembered. */
  readonly maxEntries: number;
}

/** Refuses subjects whose block is known, without asking the store. */
export interface DenyCache {
  /** The refusal of a subject whose block is known. `counted`: it goes into the block's record. */
  refuse(policy: Policy, subject: string, options: ConsumeOptions, counted: boolean): Promise<Decision> | undefined;
  /** The refusal of a request while Redis is away: what is remembered holds then until the block's end, trusted or not. */
  known(request: StoreRequest): Decision | undefined;
  /**
   * Takes note of a refusal by the store.
   * @param askedAtMs when it was asked, by the monotonic clock.
   */
  remember(request: StoreRequest, decision: Decision, askedAtMs: number): void;
  /** A window's block ended or changed. */
  forget(window: Pick<StoreWindow, 'subject' | 'key'>): void;
  /** Where refusals are counted that were decided here. */
  reportTo(store: Pick<LimiterStore, 'countDenied'>): void;
  /** Reports what is left and forgets all. */
  close(): void;
}

/**
 * Makes a deny cache. Only blocks are remembered: whether a request fits a full window depends on units that others give
 * back. How long a request has to wait depends on its cost where the window is full for longer than the block lasts: then
 * a request of another cost asks the store.
 *
 * What is remembered answers as long as the bus is known to hear of unblocked and reset windows. Else Redis is asked: a
 * lost message causes wrong refusals for at most a second and a half. Only when Redis doesn't answer either, what is
 * remembered applies until the block's end. After a reconnect all is
 * forgotten, and an answer that was under way while a message came is not remembered.
 *
 * The block's end is counted from when the question was asked, never later than where Redis sees it.
 */
export function denyCache({ bus, maxEntries }: DenyCacheOptions): DenyCache {
  const reports = deniedReports(() => memory);
  const memory = new BlockMemory(maxEntries, reports.report);
  bus.listen({ onKey: (_change, key) => forgetKey(key), onMissed: () => memory.forgetAll() });

  // A message says no more than the key.
  function forgetKey(key: string): void {
    const window = parseWindowKey(key);
    if (window !== undefined) memory.forget(window.subject, key);
  }

  return {
    refuse(policy, subject, { action = DEFAULT_ACTION, cost = 1 }, counted) {
      if (memory.size === 0) return undefined;
      const entry = memory.find(policy, subject, action);
      if (entry === undefined) return undefined;
      const now = monotonicClock.now();
      if (now >= memory.endsAt(entry)) {
        memory.remove(subject, memory.keyOf(entry));
        return undefined;
      }
      if (now >= bus.freshUntil || !isWaitKnown(memory, entry, cost)) return undefined;
      if (counted && memory.countDenied(entry)) reports.later(entry);
      return Promise.resolve(refusal(memory, entry, policy, now));
    },
    known({ policy, subject, key }) {
      const entry = memory.size === 0 ? undefined : memory.findKey(subject, key);
      const now = monotonicClock.now();
      if (entry === undefined || now >= memory.endsAt(entry)) return undefined;
      return policy.mode === 'shadow' ? undefined : refusal(memory, entry, policy, now);
    },
    remember(
      { policy, subject, action, key, cost },
      { blockedUntilMs, retryAfterMs, decidedAtMs, resetAtMs },
      askedAtMs,
    ) {
      if (policy.mode === 'shadow' || blockedUntilMs === undefined) return;
      // The first block opens the subscription: a limiter that never blocks needs none.
      bus.start();
      if (askedAtMs >= bus.freshUntil) return;
      const storeAheadMs = decidedAtMs - askedAtMs;
      const [endsAt, fitsAt] = [askedAtMs + (blockedUntilMs - decidedAtMs), askedAtMs + retryAfterMs];
      memory.add({ key, subject, action, policy, storeAheadMs, endsAt, fitsAt, cost, resetAtMs }, askedAtMs);
    },
    forget: ({ subject, key }) => memory.forget(subject, key),
    reportTo: reports.to,
    close() {
      memory.forgetAll();
      reports.close();
    },
  };
}

/** Whether the wait of a request is that of the remembered one: where only the block matters, of cheaper ones too. */
function isWaitKnown(memory: BlockMemory, entry: number, cost: number): boolean {
  const known = memory.cost(entry);
  return cost === known || (cost < known && memory.fitsAt(entry) <= memory.endsAt(entry));
}

/** Each its own: a shared one would have to be frozen, and be kept alive by a block that is older, which costs more. */
function refusal(memory: BlockMemory, entry: number, policy: Policy, now: number): Decision {
  const resetAtMs = memory.resetAtMs(entry);
  const left = Math.ceil(memory.fitsAt(entry) - now);
  const decidedAtMs = Math.floor(now + memory.storeAheadMs(entry));
  return {
    allowed: false,
    policy: policy.name,
    reason: 'blocked',
    limit: policy.limit,
    remaining: 0,
    decidedAtMs,
    resetAtMs,
    resetAfterMs: Math.max(left, resetAtMs - decidedAtMs),
    retryAfterMs: left,
    blockedUntilMs: memory.blockedUntilMs(entry),
  };
}

/** Hands what a cache refused over to the store that keeps count. */
export interface DeniedReports {
  /** Where to. */
  to(store: Pick<LimiterStore, 'countDenied'>): void;
  /** Reports an entry's refusals within a second. */
  later(entry: number): void;
  /** Reports refusals of a window now. */
  report(key: string, denied: number): void;
  /** Reports all that is left. */
  close(): void;
}

/** Where refusals are counted. */
export interface DeniedCounts {
  keyOf(entry: number): string;
  takeDenied(entry: number): number;
}

const GATHER_MS = 500;

/**
 * Makes {@link DeniedReports}: a refusal costs an addition, and the store hears of each block twice a second at most.
 * @param counts asked when it is time: an entry that was forgotten has reported its refusals itself
 */
function deniedReports(counts: () => DeniedCounts): DeniedReports {
  let waiting: number[] = [];
  let store: Pick<LimiterStore, 'countDenied'> | undefined;
  let timer: NodeJS.Timeout | undefined;

  function report(key: string, denied: number): void {
    if (denied > 0) store?.countDenied?.(key, denied);
  }

  function reportAll(): void {
    clearTimeout(timer);
    timer = undefined;
    const entries = waiting;
    waiting = [];
    for (const entry of entries) report(counts().keyOf(entry), counts().takeDenied(entry));
  }

  return {
    to(target) {
      store = target;
    },
    later(entry) {
      waiting.push(entry);
      timer ??= setTimeout(reportAll, GATHER_MS).unref();
    },
    report,
    close: reportAll,
  };
}
