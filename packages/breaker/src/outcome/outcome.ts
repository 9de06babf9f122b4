/**
 * What a call means to its breaker.
 * - `success` and `failure` are counted.
 * - `quota`: the dependency works but accepts no more calls for a time (429). It opens the breaker for that time and is not
 *   a failure.
 * - `neutral` counts as nothing. With `answered` the dependency answered that the request was wrong, which at a probe
 *   counts as a success; without it the dependency was not called, or its answer not awaited.
 */
export type Outcome =
  | { readonly kind: 'success' }
  | {
      readonly kind: 'failure';
      readonly reason: FailureReason;
      /** At most 500 characters, secrets masked. */
      readonly message: string;
      /** The dependency's own word on when to come back, in ms; it becomes the open time if this failure trips. */
      readonly retryAfterMs?: number;
    }
  | {
      readonly kind: 'quota';
      /** How long to stay away, in ms. */
      readonly retryAfterMs: number;
      /** At most 500 characters, secrets masked. */
      readonly message: string;
    }
  | { readonly kind: 'neutral'; readonly answered?: boolean };

/** `error`: the function threw. `timeout`: it took too long. `result`: its return value indicates a failure. */
export type FailureReason = 'error' | 'timeout' | 'result';

/**
 * Decides what a call meant. Of one that throws, or gives something else than an outcome, the process is warned once, and
 * the default classifier decides in its place.
 */
export interface Classifier {
  /** @param result what the function's promise resolved to */
  ofResult(result: unknown): Outcome;
  /** @param callerAborted whether the signal that the caller passed had fired, and not because its time was up */
  ofError(error: unknown, callerAborted: boolean): Outcome;
}

/** Shared, so that a call that goes well allocates nothing. */
export const success: Outcome = Object.freeze({ kind: 'success' });

/** Shared, like {@link success}: the dependency was not called, or the caller no longer waited. */
export const neutral: Outcome = Object.freeze({ kind: 'neutral' });

/** Shared, like {@link success}: the dependency was well, and the request wrong. */
export const answered: Outcome = Object.freeze({ kind: 'neutral', answered: true });
