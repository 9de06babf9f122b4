import type { Classifier, Outcome } from '../outcome/outcome.ts';
import type { CallOutcome } from '../metrics/metrics.ts';
import type { CallObserver } from '../timeout/call.ts';

/** Who counts outcomes. */
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
  /** Told of each call, counted or not; undefined when nobody wants to hear. */
  readonly told: ((outcome: CallOutcome, durationMs: number) => void) | undefined;
}

/** The calls that began under one epoch. Once it is over their outcomes count no more. */
export class Generation {
  isCurrent = true;
  readonly counter: Counter;

  constructor(counter: Counter) {
    this.counter = counter;
  }
}

/** An observer for calls that nobody times: one for all calls of a generation. */
export function counting(generation: Generation): CallObserver {
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
    counter.told?.(outcome.kind, durationMs);
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
