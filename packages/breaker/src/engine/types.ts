import { unref } from '@spillway/redis/core';
import type { RefusingState } from '../errors.ts';
import type { CallOutcome, Flush, LeaseEvent, StateName } from '../metrics.ts';
import type { Preset } from '../presets/preset.ts';
import type { BreakerId, BreakerStore } from '../store/store.ts';

/** Time and chance, as an engine sees them; a simulation brings its own. */
export interface Runtime {
  /** A monotonic clock, in ms. */
  now(): number;
  /** From 0 to below 1. */
  random(): number;
  /** Calls once after `delayMs`, without keeping the process alive; the result takes it back. */
  after(delayMs: number, work: () => void): () => void;
}

/** The clock, timers and random numbers of the process. */
export const realRuntime: Runtime = {
  now: () => performance.now(),
  random: Math.random,
  after(delayMs, work) {
    const timer = setTimeout(work, delayMs);
    unref(timer);
    return () => clearTimeout(timer);
  },
};

/** The only way up from an engine: callbacks with events of its breaker. They return nothing and must not throw. */
export interface EngineEvents {
  /** A call ended, or was refused after 0 ms; undefined: not wanted, so that calls need no clock. */
  readonly call: ((outcome: CallOutcome, durationMs: number) => void) | undefined;
  /** Calls of this process meet another state. */
  state(state: StateName): void;
  /** A command of this process moved the fleet's breaker. */
  transition(from: StateName, to: StateName, reason: string): void;
  lease(event: LeaseEvent): void;
  flush(flush: Flush): void;
  /** The store stopped answering for this breaker, or answers again. */
  stale(isStale: boolean): void;
  /** Calls that passed or were refused while the store did not answer. */
  decidedLocally(answer: 'passed' | 'refused', calls: number): void;
}

/** What an engine is made of. */
export interface EngineOptions {
  readonly id: BreakerId;
  readonly preset: Preset;
  readonly store: BreakerStore;
  readonly runtime: Runtime;
  /** Id of the process, new at each start. */
  readonly instance: string;
  readonly events: EngineEvents;
  /** The breakers were closed: it sends nothing, and goes by its own counts alone. @default false */
  readonly isClosed?: boolean;
}

/** A probe's lease: its outcome must be settled, exactly once. */
export interface ProbeLease {
  readonly id: string;
  readonly epoch: number;
  /** `fleet`: the store granted it. `instance`: this process' own breaker did, and the store knows nothing of it. */
  readonly by: 'fleet' | 'instance';
}

/**
 * Whether a call may go, in the words of the store's verdicts and of the lease metrics. A call whose permit is denied is
 * refused: its function isn't called.
 */
export type Permit =
  /** Like any other call. */
  | { readonly kind: 'pass' }
  /** As a probe. */
  | { readonly kind: 'granted'; readonly lease: ProbeLease }
  | { readonly kind: 'denied'; readonly state: RefusingState; readonly retryAfterMs: number }
  /** Only the store can say: it has not answered yet, or has to grant a lease. */
  | { readonly kind: 'ask' };

export const pass: Permit = { kind: 'pass' };
export const askStore: Permit = { kind: 'ask' };
