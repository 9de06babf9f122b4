import { tell, warn } from '@spillway/redis/core';
import { BreakerInputError, shown } from './errors.ts';
import { errorText } from './outcome/error-text.ts';
import type { Outcome } from './outcome/outcome.ts';

/** The states of a breaker, by name. */
export const STATE_NAMES = ['closed', 'open', 'half_open', 'forced_open', 'forced_closed'] as const;
/** A state of a breaker. */
export type StateName = (typeof STATE_NAMES)[number];

/** The outcome of a call; `refused`: the function wasn't called. */
export type CallOutcome = Outcome['kind'] | 'refused';
export const CALL_OUTCOMES: readonly CallOutcome[] = ['success', 'failure', 'quota', 'neutral', 'refused'];

/** What became of a probe's lease. */
export const LEASE_EVENTS = ['granted', 'denied', 'expired', 'settled'] as const;
export type LeaseEvent = (typeof LEASE_EVENTS)[number];

/** One exchange with Redis. */
export interface Flush {
  readonly durationMs: number;
  /** Calls that were reported. */
  readonly size: number;
}

/** Redis went away, or came back. */
export interface Outage {
  readonly kind: 'begin' | 'end';
}

/** Callbacks for metrics. Called synchronously, `call` for each call: they must be fast and must not throw. */
export interface BreakerMetrics {
  /** The state that this instance acts on, each time it changes. */
  state(name: string, preset: string, state: StateName): void;
  /** @param durationMs how long the function took; 0 of a refused call */
  call(name: string, preset: string, outcome: CallOutcome, durationMs: number): void;
  /**
   * A transition of the fleet's breaker, reported by the one instance whose command caused it. So a counter of each instance is
   * added up, as Prometheus does with `sum`, and the sum counts each transition once, for any number of instances.
   * Transitions of the local breaker during an outage are not counted as fleet transitions; `state` reports them. A command
   * that makes two at once (a forced state has ended, and its first report trips) counts from the first to the last. One
   * whose reply was lost is not counted; `circuit_breaker_events` has all transitions.
   */
  transition(name: string, preset: string, from: StateName, to: StateName, reason: string): void;
  lease(name: string, preset: string, event: LeaseEvent): void;
  flush(flush: Flush): void;
  outage(outage: Outage): void;
  /** The breaker was evicted: its series may go. */
  forget?(name: string, preset: string): void;
}

const CALLBACKS = ['state', 'call', 'transition', 'lease', 'flush', 'outage'] as const;

/**
 * Checks a caller's metrics and keeps their exceptions and rejections away from the calls that they report. The first
 * error becomes a process warning, later ones are dropped: a callback that fails mostly does so every time.
 * @throws {BreakerInputError} when a callback is missing.
 */
export function safeMetrics(metrics: BreakerMetrics): BreakerMetrics {
  if (typeof metrics !== 'object' || metrics === null) {
    throw new BreakerInputError('metrics', `must be an object, not ${shown(metrics)}`);
  }
  for (const name of CALLBACKS) {
    const callback: unknown = metrics[name];
    if (typeof callback !== 'function') {
      throw new BreakerInputError(`metrics.${name}`, `must be a function, not ${shown(callback)}`);
    }
  }
  let warned = false;
  const failed = (error: unknown): void => {
    if (warned) return;
    warned = true;
    warn(`a metrics callback of the breakers threw: ${errorText(error)}`);
  };
  const shielded =
    <Args extends readonly unknown[]>(callback: (...args: Args) => unknown) =>
    (...args: Args): void =>
      tell(() => callback(...args), failed);
  return {
    state: shielded((name, preset, state) => metrics.state(name, preset, state)),
    call: shielded((name, preset, outcome, durationMs) => metrics.call(name, preset, outcome, durationMs)),
    transition: shielded((name, preset, from, to, reason) => metrics.transition(name, preset, from, to, reason)),
    lease: shielded((name, preset, event) => metrics.lease(name, preset, event)),
    flush: shielded((flush) => metrics.flush(flush)),
    outage: shielded((outage) => metrics.outage(outage)),
    forget: shielded((name, preset) => metrics.forget?.(name, preset)),
  };
}
