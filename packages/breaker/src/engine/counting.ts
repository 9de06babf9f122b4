import { type Batch, MAX_SAMPLES } from '../machine/batch.ts';
import type { CallOutcome } from '../metrics.ts';
import type { Classifier, Outcome } from '../outcome/outcome.ts';
import type { CallObserver, CallOptions } from '../timeout/call.ts';

/** A {@link Batch} in the making: on the path of every call, so it is counted in place. */
export class OutcomeCounter {
  private successes = 0;
  private failures = 0;
  private slow = 0;
  private quotas = 0;
  private leadingFailures = 0;
  private longestRun = 0;
  private trailingFailures = 0;
  private retryAfterMs = 0;
  private quotaMs = 0;
  private samples: string[] = [];

  get isEmpty(): boolean {
    return this.successes + this.failures + this.quotas === 0;
  }

  success(): void {
    if (this.successes === 0) this.leadingFailures = this.trailingFailures;
    this.successes += 1;
    this.trailingFailures = 0;
  }

  /** A call that ended otherwise. @returns whether it counts */
  add(outcome: Outcome, slow: boolean): boolean {
    if (outcome.kind === 'success' || outcome.kind === 'neutral') return false;
    if (outcome.kind === 'quota') this.quota(outcome.message, outcome.retryAfterMs);
    else {
      this.failure(outcome.message, outcome.retryAfterMs ?? 0);
      if (slow) this.slow += 1;
    }
    return true;
  }

  private failure(message: string, retryAfterMs: number): void {
    this.failures += 1;
    this.trailingFailures += 1;
    this.longestRun = Math.max(this.longestRun, this.trailingFailures);
    this.retryAfterMs = Math.max(this.retryAfterMs, retryAfterMs);
    this.sample(message);
  }

  private quota(message: string, quotaMs: number): void {
    this.quotas += 1;
    this.quotaMs = Math.max(this.quotaMs, quotaMs);
    this.sample(message);
  }

  /** The call that was counted last was slow. */
  wasSlow(): void {
    this.slow += 1;
  }

  /** What was counted since it was last taken. */
  take(): Batch {
    const { successes, failures, slow, quotas, longestRun, trailingFailures, retryAfterMs, quotaMs, samples } = this;
    const leadingFailures = successes === 0 ? trailingFailures : this.leadingFailures;
    this.clear();
    return {
      successes,
      failures,
      slow,
      quotas,
      leadingFailures,
      longestRun,
      trailingFailures,
      retryAfterMs,
      quotaMs,
      samples,
    };
  }

  private clear(): void {
    this.successes = 0;
    this.failures = 0;
    this.slow = 0;
    this.quotas = 0;
    this.leadingFailures = 0;
    this.longestRun = 0;
    this.trailingFailures = 0;
    this.retryAfterMs = 0;
    this.quotaMs = 0;
    this.samples = [];
  }

  private sample(message: string): void {
    if (this.samples.length < MAX_SAMPLES) this.samples.push(message);
  }
}

/** Counts outcomes. */
export interface Counter {
  readonly classifier: Classifier;
  /** A call that takes as long is slow, in ms; `Infinity` = none is. */
  readonly slowMs: number;
  /** A monotonic clock, in ms. */
  now(): number;
  succeeded(slow: boolean): void;
  failed(outcome: Outcome, slow: boolean): void;
  /** A call of an earlier generation ended: it counts for nothing. */
  late(outcome: Outcome): void;
  /** Called for each call, counted or not; undefined: no listener. */
  readonly onCall: ((outcome: CallOutcome, durationMs: number) => void) | undefined;
}

/** The calls that began under one epoch. Once it is over their outcomes no longer count. */
export class Generation {
  isCurrent = true;
  readonly counter: Counter;
  /** For calls without timing: one for all calls of the generation. */
  readonly plain: CallOptions;

  constructor(counter: Counter, timeoutMs: number) {
    this.counter = counter;
    this.plain = { timeoutMs, observer: counting(this) };
  }
}

/** An observer for calls without timing: one for all calls of a generation. */
function counting(generation: Generation): CallObserver {
  const { counter } = generation;
  const { classifier } = counter;
  return {
    resolved(value) {
      const outcome = classifier.ofResult(value);
      if (!generation.isCurrent) counter.late(outcome);
      else if (outcome.kind === 'success') counter.succeeded(false);
      else counter.failed(outcome, false);
    },
    rejected(error, callerAborted) {
      const outcome = classifier.ofError(error, callerAborted);
      if (generation.isCurrent) counter.failed(outcome, false);
      else counter.late(outcome);
    },
  };
}

/** An observer for one call that is timed. A probe's outcome goes to `settle`, and is counted nowhere else. */
export function timed(generation: Generation, settle?: (outcome: Outcome) => void): CallObserver {
  const { counter } = generation;
  const startedMs = counter.now();
  const take = (outcome: Outcome): void => {
    const durationMs = counter.now() - startedMs;
    counter.onCall?.(outcome.kind, durationMs);
    if (settle !== undefined) settle(outcome);
    else if (!generation.isCurrent) counter.late(outcome);
    else if (outcome.kind === 'success') counter.succeeded(durationMs >= counter.slowMs);
    else counter.failed(outcome, durationMs >= counter.slowMs);
  };
  return {
    resolved: (value) => take(counter.classifier.ofResult(value)),
    rejected: (error, callerAborted) => take(counter.classifier.ofError(error, callerAborted)),
  };
}
