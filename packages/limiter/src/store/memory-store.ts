import { capacityOf, type Counter } from '../algorithms/algorithm.ts';
import { type Policy, specOf } from '../algorithms/registry.ts';
import { type Outcome, outcomes, toDecision } from '../decision.ts';
import type { Decision } from '../types.ts';
import type { LimiterStore, Operation, StoreRequest } from './store.ts';

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /** Milliseconds since 1970. @default Date.now */
  readonly now?: () => number;
}

interface Verdict {
  readonly outcome: Outcome;
  /** The time of the decision: never before what the window has seen. */
  readonly at: number;
  readonly request: StoreRequest;
  readonly window: MemoryWindow;
}

/**
 * Windows in this process: for tests, and for a service that runs as one process. Answers as the Redis store does, and
 * is kept small by dropping expired windows whenever their number has doubled.
 */
export function memoryStore({ now = Date.now }: MemoryStoreOptions = {}): LimiterStore {
  const windows = memoryWindows();

  function decide(requests: readonly StoreRequest[], operation: Operation): readonly Decision[] {
    const at = now();
    const verdicts = requests.map((request) =>
      judge(windows.open(request, at, operation === 'peek'), request, operation, at),
    );
    const refused = verdicts.some(({ outcome, request }) => outcome > 0 && request.policy.mode !== 'shadow');
    return verdicts.map((verdict) => {
      if (verdict.outcome !== outcomes.allowed) return refuse(verdict, operation, at);
      if (refused) return answer(verdict, outcomes.withheld, at);
      return admit(verdict, operation, at);
    });
  }

  async function decideOne(request: StoreRequest, operation: Operation): Promise<Decision> {
    const [decision] = decide([request], operation);
    if (decision === undefined) throw new Error('no decision');
    return decision;
  }

  return {
    consume: (request) => decideOne(request, 'consume'),
    consumeAll: async (requests) => decide(requests, 'consume'),
    peek: (request) => decideOne(request, 'peek'),
    charge: (request) => decideOne(request, 'charge'),
    reward: (request) => decideOne(request, 'reward'),
    renew: (request) => decideOne(request, 'renew'),
    async reset({ key }) {
      windows.delete(key);
    },
    async block({ policy, key }, durationMs) {
      const at = now();
      const window = windows.open({ key, policy }, at);
      window.blockedUntilMs = at + durationMs;
      window.watched = false;
      window.expiresAt = Math.max(window.expiresAt, window.blockedUntilMs);
      return window.blockedUntilMs;
    },
    async unblock({ key }) {
      const window = windows.get(key);
      const ran = window !== undefined && window.blockedUntilMs > now();
      // One that is over is left: a clock that steps back finds it again.
      if (ran) window.blockedUntilMs = 0;
      return ran;
    },
    async giveBack({ policy, key, cost }, chargedAtMs) {
      const counter = windows.get(key)?.counter;
      if (counter?.algorithm === policy.algorithm) counter.takeFrom?.(chargedAtMs, cost);
    },
    async close() {
      windows.clear();
    },
  };
}

function judge(window: MemoryWindow, request: StoreRequest, operation: Operation, now: number): Verdict {
  const at = window.counter.clamp(now);
  const asks = operation === 'consume' || operation === 'peek';
  if (operation !== 'peek') window.counter.settle?.(at);
  if (asks && window.watched && request.policy.mode !== 'shadow') {
    // A block of shadow mode refuses no request once the policy enforces. Of a look the window is a copy.
    window.blockedUntilMs = 0;
    window.watched = false;
  }
  if (asks && window.blockedUntilMs > at) return { outcome: outcomes.blocked, at, request, window };
  const fits = window.counter.used(at) + request.cost <= capacityOf(request.policy);
  return { outcome: fits || !asks ? outcomes.allowed : outcomes.limited, at, request, window };
}

function refuse({ outcome, at, request, window }: Verdict, operation: Operation, now: number): Decision {
  const { policy, cost } = request;
  const { counter } = window;
  if (outcome === outcomes.limited && policy.blockMs > 0 && operation === 'consume') {
    window.blockedUntilMs = at + policy.blockMs;
    window.watched = policy.mode === 'shadow';
    window.expiresAt = Math.max(window.expiresAt, window.blockedUntilMs);
    return behindBlock(outcomes.blockBegins, at, request, window, now);
  }
  if (outcome === outcomes.blocked) return behindBlock(outcome, at, request, window, now);
  const reset = counter.resetAfter(at);
  // The window may have been made longer: what has been used must outlive the shorter one.
  if (operation === 'consume') window.expiresAt = Math.max(window.expiresAt, at + reset);
  // Waits are counted from now: `at` is later after the clock has stepped back.
  const later = at - now;
  const retry = later + counter.retryAfter(at, cost);
  return toDecision(policy, outcome, remaining(policy, counter, at), later + reset, retry, now);
}

/** The longer of block and window: a block may be shorter. */
function behindBlock(
  outcome: Outcome,
  at: number,
  { policy, cost }: StoreRequest,
  { counter, blockedUntilMs }: MemoryWindow,
  now: number,
): Decision {
  const left = blockedUntilMs - now;
  const used = counter.used(at);
  const reset = used > 0 ? at - now + counter.resetAfter(at) : 0;
  const retry = used + cost > capacityOf(policy) ? at - now + counter.retryAfter(at, cost) : 0;
  return toDecision(policy, outcome, 0, Math.max(left, reset), Math.max(left, retry), now, left);
}

function admit(verdict: Verdict, operation: Operation, now: number): Decision {
  const { at, request, window } = verdict;
  const { counter } = window;
  const slot = request.slot ?? '';
  if (operation === 'reward') {
    if (counter.used(at) > 0) {
      counter.take(at, request.cost, slot);
      forgetEndedBlock(window, at);
    }
    // After a clock that stepped back: without the units that had seen a later time, its own counts again.
    return settled({ ...verdict, at: counter.clamp(now) }, now);
  }
  if (operation === 'renew' && counter.renew?.(at, slot) === false) {
    return toDecision(request.policy, outcomes.limited, remaining(request.policy, counter, at), 0, 0, now);
  }
  const blocked = window.blockedUntilMs > at;
  if (operation === 'consume') counter.add(at, request.cost, slot, blocked);
  if (operation === 'charge') counter.add(at, penalty(request, counter.used(at)), slot, blocked);
  if (operation !== 'peek') forgetEndedBlock(window, at);
  return settled(verdict, now);
}

/** A penalty fills a window up to twice its capacity and no further, as in Redis, where each unit takes memory. */
function penalty({ policy, cost }: StoreRequest, used: number): number {
  return Math.max(0, Math.min(cost, 2 * capacityOf(policy) - used));
}

/** Whatever is written writes no block that is over: not even a clock that steps back finds it again. */
function forgetEndedBlock(window: MemoryWindow, at: number): void {
  if (window.blockedUntilMs <= at) {
    window.blockedUntilMs = 0;
    window.watched = false;
  }
}

function settled(verdict: Verdict, now: number): Decision {
  const { at, window } = verdict;
  window.expiresAt = Math.max(window.blockedUntilMs, at + window.counter.resetAfter(at));
  return answer(verdict, outcomes.allowed, now);
}

function answer({ at, request: { policy }, window: { counter } }: Verdict, outcome: Outcome, now: number): Decision {
  const reset = counter.used(at) > 0 ? at - now + counter.resetAfter(at) : 0;
  return toDecision(policy, outcome, remaining(policy, counter, at), reset, 0, now);
}

function remaining(policy: Policy, counter: Counter, at: number): number {
  return Math.max(0, capacityOf(policy) - counter.used(at));
}

/** What memory keeps under one key. */
export interface MemoryWindow {
  /** The policy as the last request had it. */
  readonly current: { policy: Policy };
  counter: Counter;
  blockedUntilMs: number;
  /** The block began in shadow mode: it refuses no request once the policy enforces. */
  watched: boolean;
  /** When the last trace of it may be dropped. */
  expiresAt: number;
}

/** All windows of a store, by key. */
export interface MemoryWindows {
  /**
   * The request's window, made when there is none. What another algorithm has counted is taken over; for good unless the
   * request is only a look.
   */
  open(request: Pick<StoreRequest, 'key' | 'policy'>, at: number, look?: boolean): MemoryWindow;
  get(key: string): MemoryWindow | undefined;
  delete(key: string): void;
  clear(): void;
}

const SWEEP_FROM = 1024;

/** Makes {@link MemoryWindows}, kept few by dropping the expired whenever their number has doubled. */
function memoryWindows(): MemoryWindows {
  const windows = new Map<string, MemoryWindow>();
  let sweepAt = SWEEP_FROM;

  function sweep(at: number): void {
    for (const [key, { expiresAt }] of windows) if (expiresAt <= at) windows.delete(key);
    sweepAt = Math.max(SWEEP_FROM, windows.size * 2);
  }

  return {
    open({ key, policy }, at, look = false) {
      const known = windows.get(key);
      if (known !== undefined) {
        const window = look ? { ...known } : known;
        known.current.policy = policy;
        if (window.counter.algorithm !== policy.algorithm) {
          const charges = window.counter.charges(at);
          window.counter = specOf(policy).counter(() => known.current.policy, charges, at);
        }
        return window;
      }
      if (windows.size >= sweepAt) sweep(at);
      // Of a group some windows are opened before others: a sweep between must not take them for expired.
      const expiresAt = at + policy.windowMs;
      const current = { policy };
      const counter = specOf(policy).counter(() => current.policy, [], at);
      const fresh: MemoryWindow = { current, counter, blockedUntilMs: 0, watched: false, expiresAt };
      windows.set(key, fresh);
      return fresh;
    },
    get: (key) => windows.get(key),
    delete: (key) => {
      windows.delete(key);
    },
    clear: () => windows.clear(),
  };
}
