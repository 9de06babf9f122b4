import { isTimeUp } from '../timeout/call.ts';

/** What a run gives instead of an error: a value, or a function that makes one of the error, or throws. */
export type Fallback<T> = T | ((error: unknown) => T | PromiseLike<T>);

/**
 * Puts a fallback behind a run: for a refusal, a timeout and whatever the function throws. The caller's own abort stays an
 * abort, since nobody waits for a value then; a signal whose time was up is a timeout. The breaker counts the call as it went, not as it was saved.
 */
export async function withFallback<T>(run: Promise<T>, fallback: Fallback<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await run;
  } catch (error) {
    if (signal?.aborted === true && !isTimeUp(signal.reason)) throw error;
    return isFunction(fallback) ? fallback(error) : fallback;
  }
}

function isFunction<T>(fallback: Fallback<T>): fallback is (error: unknown) => T | PromiseLike<T> {
  return typeof fallback === 'function';
}
