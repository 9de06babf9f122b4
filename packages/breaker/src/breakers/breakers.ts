import type { Callable, TimeoutScope } from '../timeout/call.ts';
import type { Breaker } from './breaker.ts';
import type { BreakerSnapshot } from './snapshots.ts';

/** Options of a single call. */
export interface RunOptions {
  /** The caller's own: the call ends when it aborts, and counts as nothing; as a timeout when its own time was up. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the timeout and the outcome cover the reading of a response's body too. @default 'headers' */
  readonly timeoutScope?: TimeoutScope | undefined;
  /** Less time than the preset's `timeoutMs`, in ms. @default the preset's */
  readonly timeoutMs?: number | undefined;
}

/** What a run gives instead of an error: a value, or a function that makes one of the error, or throws. */
export type Fallback<T> = T | ((error: unknown) => T | PromiseLike<T>);

/** Options of a call that never rejects but by its caller's abort, or by what the fallback throws. */
export interface FallbackOptions<F> extends RunOptions {
  /** What to give instead of an error: a value, or a function of the error. */
  readonly fallback: Fallback<F>;
}

/** The breakers of a process, one for each preset and name. */
export interface Breakers<PresetName extends string = string> {
  /**
   * Calls `fn` through a breaker. `fn` gets a signal that aborts when time is up, or when the caller's does. A function that
   * takes something else first has to be wrapped: `() => find(id)`, not `find`.
   * @param name the dependency's: 1 to 128 characters
   * @throws {CircuitOpenError} through the promise, while the breaker refuses; everything else is the function's own error.
   * @throws {CallTimeoutError} through the promise.
   * @throws {BreakerInputError} through the promise, for an unknown preset, a bad name or option.
   */
  run<T>(name: string, preset: PresetName, fn: Callable<T>, options?: RunOptions): Promise<T>;
  run<T, F>(name: string, preset: PresetName, fn: Callable<T>, options: FallbackOptions<F>): Promise<T | F>;
  /** One breaker, to look at and to move by hand. @throws {BreakerInputError} for an unknown preset or a bad name */
  get(name: string, preset: PresetName): Breaker;
  /** All breakers that this process uses, for a health endpoint. */
  snapshot(): readonly BreakerSnapshot[];
  /**
   * Sends pending reports to Redis, then stops all communication with it. Later calls still work, and count in this
   * process alone. The Redis client stays open: it is the caller's.
   */
  close(): Promise<void>;
}
