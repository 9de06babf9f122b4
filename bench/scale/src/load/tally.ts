import { build, type Histogram } from 'hdr-histogram-js';
import { GENERATE, type Kind, type LoadPhase } from '../plan.ts';
import type { Outcomes, Percentiles, PhaseTotals } from './messages.ts';

/** What became of a request. */
export type Outcome = keyof Outcomes;

type Histograms = readonly [Histogram, Histogram, Histogram];

type Counts = { -readonly [Name in Outcome]: number };

/** What is counted of a request. */
export interface Counted {
  readonly kind: Kind;
  readonly outcome: Outcome;
  readonly flood: boolean;
  readonly sinceIntendedMs: number;
  readonly sinceSentMs: number;
}

/** Counts of a while, by kind and outcome, with the latency of what users were answered; floods are counted apart. */
export class Tally {
  readonly #counts: readonly [Counts, Counts, Counts] = [noCounts(), noCounts(), noCounts()];
  readonly #flood: readonly [Counts, Counts, Counts] = [noCounts(), noCounts(), noCounts()];
  readonly #corrected: Histograms = [latencies(), latencies(), latencies()];
  readonly #uncorrected: Histograms = [latencies(), latencies(), latencies()];

  add({ kind, outcome, flood, sinceIntendedMs, sinceSentMs }: Counted): void {
    const counts = flood ? this.#flood : this.#counts;
    counts[kind][outcome] += 1;
    if (flood || outcome === 'lost') return;
    record(this.#corrected[kind], sinceIntendedMs);
    record(this.#uncorrected[kind], sinceSentMs);
  }

  totals(phase: LoadPhase): PhaseTotals {
    return {
      phase,
      outcomes: this.#counts,
      flood: this.#flood,
      latency: percentilesOf(this.#corrected),
      uncorrected: percentilesOf(this.#uncorrected),
    };
  }
}

/** No requests of a kind. */
export function noCounts(): Counts {
  return { served: 0, limited: 0, cutOff: 0, failed: 0, lost: 0, odd: 0 };
}

/** What a status means. */
export function outcomeOf(kind: Kind, status: number): Outcome {
  if (status === 200) return 'served';
  if (status === 429) return 'limited';
  if (kind === GENERATE && status === 503) return 'cutOff';
  if (kind === GENERATE && status === 502) return 'failed';
  return 'odd';
}

/** Whether the limiter let it pass: the breaker and the provider come after it. */
export function wasAdmitted(outcome: Outcome): boolean {
  return outcome === 'served' || outcome === 'cutOff' || outcome === 'failed';
}

function percentilesOf([first, second, third]: Histograms): PhaseTotals['latency'] {
  return [percentiles(first), percentiles(second), percentiles(third)];
}

/** Nothing here takes longer than a minute, in µs. */
const HIGHEST = 60_000_000;

/**
 * A histogram of latencies with three digits, in µs. Counted from the moment for which a request was intended and not from
 * when it was sent: a server that stalls makes users send late, and the wait is part of what they saw (Gil Tene's
 * "coordinated omission").
 */
export function latencies(): Histogram {
  return build({
    bitBucketSize: 32,
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST,
    numberOfSignificantValueDigits: 3,
    autoResize: false,
    useWebAssembly: false,
  });
}

/** Records a latency given in ms. */
export function record(histogram: Histogram, ms: number): void {
  histogram.recordValue(Math.min(HIGHEST, Math.max(1, Math.round(ms * 1_000))));
}

/** Reads a histogram. */
export function percentiles(histogram: Histogram): Percentiles {
  const at = (percentile: number): number => histogram.getValueAtPercentile(percentile) / 1_000;
  return {
    count: histogram.totalCount,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: histogram.totalCount === 0 ? 0 : histogram.maxValue / 1_000,
  };
}
