import { BreakerInputError, checkObject, shown, wholeNumberWithin } from '../errors.ts';
import type { Engine } from '../engine/engine.ts';
import type { StateName } from '../metrics.ts';
import { MAX_TIME_MS } from '../presets/preset.ts';
import type { Callable, TimeoutScope } from '../timeout/call.ts';
import type { BreakerSnapshot, Looks } from './snapshots.ts';

/** Author and reason of a manual change, for the audit trail. */
export interface ManualChange {
  /** 1 to 200 characters, such as `user:ada@example.com`. @default the breakers' `actor` */
  readonly who?: string;
  /** Up to 500 characters. @default '' */
  readonly why?: string;
}

/** Options of `forceOpen` and `forceClosed`. */
export interface ForcedChange extends ManualChange {
  /** After this time, in ms, at most a day, the breaker closes and decides by itself again. @default no expiry */
  readonly forMs?: number;
}

/**
 * One breaker: its state, and manual changes of it. A change holds for the whole fleet, and is a row of
 * `circuit_breaker_events` and one of `spillway.changes`.
 */
export interface Breaker {
  readonly name: string;
  readonly preset: string;
  /** The state that calls of this process meet now. */
  readonly state: StateName;
  /** What this process knows about the breaker, without a call to Redis. */
  snapshot(): BreakerSnapshot;
  /**
   * The same after reading Redis; the last known state if Redis doesn't answer (`isStale` is true then). A breaker that was
   * never used has `epoch` 0; reading it creates nothing.
   */
  read(): Promise<BreakerSnapshot>;
  /** Refuses all calls. @throws {StoreUnavailableError} @throws {BreakerInputError} */
  forceOpen(change?: ForcedChange): Promise<void>;
  /** Lets all calls pass, whatever their outcomes. @throws {StoreUnavailableError} @throws {BreakerInputError} */
  forceClosed(change?: ForcedChange): Promise<void>;
  /**
   * Closes it and clears its counts, also if it was forced. @throws {StoreUnavailableError} @throws {BreakerInputError}
   */
  reset(change?: ManualChange): Promise<void>;
}

const MAX_WHO = 200;
const MAX_WHY = 500;
const MANUAL_CHANGE = ['who', 'why'] as const satisfies readonly (keyof ManualChange)[];
const FORCED_CHANGE = [...MANUAL_CHANGE, 'forMs'] as const satisfies readonly (keyof ForcedChange)[];

/** What a {@link Breaker} is made of. */
export interface HandleParts {
  readonly name: string;
  readonly preset: string;
  /** Makes the breaker if there is none. */
  readonly engine: () => Engine;
  /** Make none. */
  readonly looks: Looks;
  /** Actor of changes that name none. */
  readonly actor: string;
}

/** Makes a handle. */
export function breakerHandle({ name, preset, engine, looks, actor }: HandleParts): Breaker {
  const checked = (change: ManualChange, options: readonly string[]): { who: string; why: string } => {
    // A misspelt `forMs` would be a state without an end.
    checkObject('options', change, options);
    const { who = actor, why = '' } = change;
    checkText('who', who, 1, MAX_WHO);
    checkText('why', why, 0, MAX_WHY);
    return { who, why };
  };
  const force = async (target: 'forced_open' | 'forced_closed', change: ForcedChange): Promise<void> => {
    const by = checked(change, FORCED_CHANGE);
    const { forMs } = change;
    if (forMs !== undefined) wholeNumberWithin('forMs', forMs, 1, MAX_TIME_MS);
    await engine().member.command({ type: 'force', target, forMs: forMs ?? 0, ...by });
  };
  return {
    name,
    preset,
    get state() {
      return looks.snapshot(name, preset).state;
    },
    snapshot: () => looks.snapshot(name, preset),
    read: () => looks.look({ preset, name }),
    forceOpen: (change = {}) => force('forced_open', change),
    forceClosed: (change = {}) => force('forced_closed', change),
    reset: async (change = {}) => {
      const by = checked(change, MANUAL_CHANGE);
      await engine().member.command({ type: 'reset', ...by });
    },
  };
}

/** @throws {BreakerInputError} unless it is a valid actor. */
export function checkActor(field: string, value: unknown): asserts value is string {
  checkText(field, value, 1, MAX_WHO);
}

function checkText(field: string, value: unknown, min: number, max: number): asserts value is string {
  if (typeof value !== 'string' || value.length < min || value.length > max || !value.isWellFormed()) {
    throw new BreakerInputError(field, `must be a string of ${min} to ${max} characters, not ${shown(value)}`);
  }
  // Postgres has no text with U+0000: the trail would tell something else.
  if (value.includes('\0')) throw new BreakerInputError(field, 'must not contain the character U+0000');
}

/** Options of a single call. */
export interface RunOptions {
  /**
   * The caller's signal. If it aborts, the call ends and is not counted; that of an `AbortSignal.timeout` counts as a
   * timeout.
   */
  readonly signal?: AbortSignal | undefined;
  /** Whether the timeout and the outcome cover the reading of a response's body too. @default 'headers' */
  readonly timeoutScope?: TimeoutScope | undefined;
  /** Less time than the preset's `timeoutMs`, in ms. @default the preset's */
  readonly timeoutMs?: number | undefined;
}

/** The result of a call in place of an error: a value, or a function of the error that returns one or throws. */
export type Fallback<T> = T | ((error: unknown) => T | PromiseLike<T>);

/** Options of a call that rejects only if its caller aborts it or the fallback throws. */
export interface FallbackOptions<F> extends RunOptions {
  /** The result in place of an error: a value, or a function of the error. */
  readonly fallback: Fallback<F>;
}

/** The breakers of a process, one for each preset and name. */
export interface Breakers<PresetName extends string = string> {
  /**
   * Calls `fn` through a breaker. `fn` gets a signal that aborts when time is up, or when the caller's does. A function that
   * takes something else first has to be wrapped: `() => find(id)`, not `find`. The first call of a breaker waits, within
   * `deadlineMs`, until Redis has told its state.
   * @param name the dependency's: 1 to 128 characters
   * @throws {CircuitOpenError} through the promise, while the breaker refuses; everything else is the function's own error.
   * @throws {CallTimeoutError} through the promise.
   * @throws {BreakerInputError} through the promise, for an unknown preset, a bad name or option.
   */
  run<T>(name: string, preset: PresetName, fn: Callable<T>, options?: RunOptions): Promise<T>;
  run<T, F>(name: string, preset: PresetName, fn: Callable<T>, options: FallbackOptions<F>): Promise<T | F>;
  /**
   * One breaker: its state, and manual changes of it. @throws {BreakerInputError} for an unknown preset or a bad name
   */
  get(name: string, preset: PresetName): Breaker;
  /** All breakers that this process uses, for a health endpoint. */
  snapshot(): readonly BreakerSnapshot[];
  /**
   * Sends pending reports to Redis, then stops all communication with it. Later calls still work, and count in this
   * process alone; manual changes reject. The Redis client stays open: it is the caller's.
   */
  close(): Promise<void>;
}
