/**
 * The outcomes of some consecutive calls of one instance, summed up so that "failures in a row" can still be counted
 * after batches are joined: a run of failures may begin in one batch and end in the next.
 */
export interface Batch {
  readonly successes: number;
  readonly failures: number;
  /** Calls among both that took longer than the preset allows. */
  readonly slow: number;
  /** Refusals for an exhausted quota; they are in none of the other counts. */
  readonly quotas: number;
  /** Failures before the first success. */
  readonly leadingFailures: number;
  /** Most failures in a row. */
  readonly longestRun: number;
  /** Failures after the last success. */
  readonly trailingFailures: number;
  /** The longest time that a failing provider asked us to stay away, in ms; 0 = it did not. */
  readonly retryAfterMs: number;
  /** The same of quota refusals. */
  readonly quotaMs: number;
  /** What some of the failures said, masked, at most {@link MAX_SAMPLES}. */
  readonly samples: readonly string[];
}

/** Most messages that a batch carries. */
export const MAX_SAMPLES = 10;

/** No calls. */
export const emptyBatch: Batch = {
  successes: 0,
  failures: 0,
  slow: 0,
  quotas: 0,
  leadingFailures: 0,
  longestRun: 0,
  trailingFailures: 0,
  retryAfterMs: 0,
  quotaMs: 0,
  samples: [],
};

/** A single call. A neutral one is none, and neither is a wrong request that was answered. */
export function batchOf({
  kind,
  message,
}: {
  kind: 'success' | 'failure' | 'quota' | 'answered' | 'neutral';
  message: string;
}): Batch {
  const samples = message === '' ? [] : [message];
  if (kind === 'success') return { ...emptyBatch, successes: 1 };
  if (kind === 'failure')
    return { ...emptyBatch, failures: 1, leadingFailures: 1, longestRun: 1, trailingFailures: 1, samples };
  return kind === 'quota' ? { ...emptyBatch, quotas: 1, samples } : emptyBatch;
}

/** Two batches, the calls of `one` before those of `other`, as a single batch. Associative, with {@link emptyBatch} neutral. */
export function mergeBatches(one: Batch, other: Batch): Batch {
  return {
    successes: one.successes + other.successes,
    failures: one.failures + other.failures,
    slow: one.slow + other.slow,
    quotas: one.quotas + other.quotas,
    leadingFailures: one.successes > 0 ? one.leadingFailures : one.leadingFailures + other.leadingFailures,
    longestRun: Math.max(one.longestRun, other.longestRun, one.trailingFailures + other.leadingFailures),
    trailingFailures: other.successes > 0 ? other.trailingFailures : one.trailingFailures + other.trailingFailures,
    retryAfterMs: Math.max(one.retryAfterMs, other.retryAfterMs),
    quotaMs: Math.max(one.quotaMs, other.quotaMs),
    samples: [...one.samples, ...other.samples].slice(0, MAX_SAMPLES),
  };
}
