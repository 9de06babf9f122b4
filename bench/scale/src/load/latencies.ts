import { build, type Histogram } from 'hdr-histogram-js';

/** Percentiles in ms. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
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
