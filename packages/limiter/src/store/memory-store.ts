import { type Outcome, outcomes, toDecision } from '../decision.ts';
import type { Decision, Policy } from '../types.ts';
import type { LimiterStore } from './store.ts';

/** How a {@link memoryStore} tells the time. */
export interface MemoryStoreOptions {
  /** Milliseconds since 1970. @default Date.now */
  readonly now?: () => number;
}

interface Window {
  /** Times of the admitted units, oldest first. */
  units: number[];
  blockedUntil: number;
  /** When the last trace of it may be dropped. */
  expiresAt: number;
}

const SWEEP_FROM = 1024;

/**
 * Windows in this process: for tests, and for a service that runs as one process. Exact, like the Redis store, and kept
 * small by dropping expired windows whenever their number has doubled.
 */
export function memoryStore({ now = Date.now }: MemoryStoreOptions = {}): LimiterStore {
  const windows = new Map<string, Window>();
  let sweepAt = SWEEP_FROM;

  function open(key: string, at: number): Window {
    const window = windows.get(key);
    if (window !== undefined) return window;
    if (windows.size >= sweepAt) {
      for (const [other, { expiresAt }] of windows) if (expiresAt <= at) windows.delete(other);
      sweepAt = Math.max(SWEEP_FROM, windows.size * 2);
    }
    const fresh: Window = { units: [], blockedUntil: 0, expiresAt: 0 };
    windows.set(key, fresh);
    return fresh;
  }

  return {
    async consume({ policy, key, cost }) {
      const at = now();
      const window = open(key, at);
      const verdict = judge(window, policy, cost, at);
      if (verdict.outcome === outcomes.allowed) admit(window, policy, cost, verdict.at);
      const begins = verdict.outcome === outcomes.limited && policy.blockMs > 0;
      if (begins) window.blockedUntil = verdict.at + policy.blockMs;
      window.expiresAt = Math.max(window.blockedUntil, (window.units.at(-1) ?? at) + policy.windowMs);
      return answer(policy, begins ? blockVerdict(verdict, policy.blockMs) : verdict, cost, at);
    },
    async peek({ policy, key, cost }) {
      const at = now();
      return answer(policy, judge(windows.get(key) ?? emptyWindow, policy, cost, at), 0, at);
    },
    async reset(key) {
      windows.delete(key);
    },
    async block(policy, key, durationMs) {
      const at = now();
      const window = open(key, at);
      window.blockedUntil = at + durationMs;
      window.expiresAt = Math.max(window.blockedUntil, (window.units.at(-1) ?? at) + policy.windowMs);
      return window.blockedUntil;
    },
    async unblock(key) {
      const window = windows.get(key);
      const ran = window !== undefined && window.blockedUntil > now();
      if (window !== undefined) window.blockedUntil = 0;
      return ran;
    },
    async close() {
      windows.clear();
    },
  };
}

const emptyWindow: Window = { units: [], blockedUntil: 0, expiresAt: 0 };

interface Verdict {
  readonly outcome: Outcome;
  /** The time of the decision: never before the newest unit. */
  readonly at: number;
  readonly free: number;
  readonly resetAfterMs: number;
  readonly retryAfterMs: number;
}

function judge({ units, blockedUntil }: Window, { limit, windowMs }: Policy, cost: number, now: number): Verdict {
  const newest = units.at(-1) ?? now;
  const at = Math.max(now, newest);
  if (blockedUntil > at) {
    const left = blockedUntil - at;
    return { outcome: outcomes.blocked, at, free: 0, resetAfterMs: left, retryAfterMs: left };
  }
  const live = units.filter((unit) => unit > at - windowMs);
  const free = limit - live.length;
  const resetAfterMs = live.length > 0 ? newest + windowMs - at : 0;
  if (cost <= free) return { outcome: outcomes.allowed, at, free, resetAfterMs, retryAfterMs: 0 };
  const last = live[cost - free - 1] ?? at;
  return { outcome: outcomes.limited, at, free, resetAfterMs, retryAfterMs: last + windowMs - at };
}

function blockVerdict({ at }: Verdict, blockMs: number): Verdict {
  return { outcome: outcomes.blockBegins, at, free: 0, resetAfterMs: blockMs, retryAfterMs: blockMs };
}

function admit(window: Window, { windowMs }: Policy, cost: number, at: number): void {
  window.units = window.units.filter((unit) => unit > at - windowMs);
  for (let unit = 0; unit < cost; unit += 1) window.units.push(at);
}

function answer(policy: Policy, verdict: Verdict, charged: number, now: number): Decision {
  const { outcome, free, resetAfterMs, retryAfterMs } = verdict;
  const admitted = outcome === outcomes.allowed && charged > 0;
  const reset = admitted ? policy.windowMs : resetAfterMs;
  return toDecision(policy, outcome, admitted ? free - charged : free, reset, retryAfterMs, now);
}
