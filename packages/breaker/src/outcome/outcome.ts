/**
 * What a call means to its breaker.
 * - `success` and `failure` are counted.
 * - `quota`: the dependency is well but wants no more of us for a while (429). It opens the breaker for that while and is
 *   told apart from failures: it says nothing about health.
 * - `neutral` changes nothing: the dependency was not asked, or the caller's request was wrong.
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
  | { readonly kind: 'neutral' };

/** `error`: the function threw. `timeout`: it took too long. `result`: what it returned tells of a failure. */
export type FailureReason = 'error' | 'timeout' | 'result';

/** Decides what a call meant. Must not throw. */
export interface Classifier {
  /** @param result what the function's promise resolved to */
  ofResult(result: unknown): Outcome;
  /** @param callerAborted whether the signal that the caller passed had fired */
  ofError(error: unknown, callerAborted: boolean): Outcome;
}

/** Shared, so that a call that goes well allocates nothing. */
export const success: Outcome = Object.freeze({ kind: 'success' });

/** Shared, like {@link success}. */
export const neutral: Outcome = Object.freeze({ kind: 'neutral' });
