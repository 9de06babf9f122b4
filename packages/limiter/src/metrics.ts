import type { RedisFaultCode } from '@spillway/redis';
import { tell, thrownText, warn } from '@spillway/redis/core';
import type { OnUnavailable } from './algorithms/algorithm.ts';
import { LimiterInputError, shown } from './errors.ts';
import type { DecisionReason } from './types.ts';

/** The source of a decision without Redis: a cached block, or leased units. */
export type CacheKind = 'deny' | 'lease';

/**
 * Metrics of a limiter, as plain callbacks; missing ones cost nothing. They are called in
 * the middle of a decision: they must be fast, and an error that they throw doesn't reach the request. No value names a
 * subject, so each can be a label.
 */
export interface LimiterMetrics {
  /** A decision was made. `durationMs` is the time from the call to the answer, the wait for the batch included. */
  readonly decision?: (decision: {
    readonly policy: string;
    readonly outcome: DecisionReason;
    readonly durationMs: number;
  }) => void;
  /** An admitted request left its subject near the policy's limit. */
  readonly nearLimit?: (policy: string) => void;
  /** Redis answered a batch of `size` requests, `durationMs` after it was sent. */
  readonly batch?: (batch: { readonly size: number; readonly durationMs: number }) => void;
  /** A decision was made in this process. */
  readonly cacheHit?: (kind: CacheKind) => void;
  /** Redis did not decide, for this cause, and the policy answered in its place. */
  readonly fallback?: (policy: string, answer: OnUnavailable, cause: RedisFaultCode) => void;
  /** `count` audit events were dropped, since the outbox was full. */
  readonly dropped?: (count: number) => void;
}

const callbacks = ['decision', 'nearLimit', 'batch', 'cacheHit', 'fallback', 'dropped'] as const;

/**
 * Checks a caller's metrics, fills the gaps and shields decisions from what they throw.
 * @throws {LimiterInputError} when it isn't an object of functions.
 */
export function safeMetrics(metrics: LimiterMetrics): Required<LimiterMetrics> {
  if (typeof metrics !== 'object' || metrics === null) {
    throw new LimiterInputError('metrics', `must be an object, not ${shown(metrics)}`);
  }
  for (const name of callbacks) {
    const callback: unknown = metrics[name];
    if (callback !== undefined && typeof callback !== 'function') {
      throw new LimiterInputError(`metrics.${name}`, `must be a function, not ${shown(callback)}`);
    }
  }
  const caught = catchErrors('a metrics callback');
  return {
    decision: caught((decision) => metrics.decision?.(decision)),
    nearLimit: caught((policy) => metrics.nearLimit?.(policy)),
    batch: caught((batch) => metrics.batch?.(batch)),
    cacheHit: caught((kind) => metrics.cacheHit?.(kind)),
    fallback: caught((policy, answer, cause) => metrics.fallback?.(policy, answer, cause)),
    dropped: caught((count) => metrics.dropped?.(count)),
  };
}

/**
 * Makes a wrapper that keeps what a caller's callbacks throw, or reject with, away from the request they are called in. The first error
 * becomes a process warning, later ones are dropped: a callback that fails mostly does so every time.
 */
export function catchErrors(
  what: string,
): <Args extends readonly unknown[]>(callback: (...args: Args) => unknown) => (...args: Args) => void {
  let warned = false;
  function failed(error: unknown): void {
    if (warned) return;
    warned = true;
    warn(`${what} of the limiter threw: ${thrownText(error)}`);
  }
  return (callback) =>
    (...args) =>
      tell(() => callback(...args), failed);
}
