import { BreakerInputError, checkObject, fraction, shown, wholeNumberWithin } from '../errors.ts';

/** What a failure rate is measured over: the last `calls` calls, or those of the last `windowMs`. */
export type RateWindow =
  | { readonly kind: 'count'; readonly calls: number }
  | { readonly kind: 'time'; readonly windowMs: number };

/** What opens a breaker, complete. */
export type Trip =
  | {
      readonly strategy: 'consecutive';
      /** This many failures with no success between them open. */
      readonly failures: number;
      /** A run of failures to which none was added for this long, in ms, is forgotten: an idle hour is no evidence. */
      readonly forgetAfterMs: number;
    }
  | {
      readonly strategy: 'rate';
      readonly window: RateWindow;
      /** Below this many calls in the window nothing opens. */
      readonly minimumCalls: number;
      /** Opens when failures ÷ calls reaches this; above 0, at most 1. */
      readonly failureRate: number;
    };

/** What opens a breaker. */
export type TripOptions =
  | {
      readonly strategy: 'consecutive';
      /** 1 to 10,000. */
      readonly failures: number;
      /** @default 300_000 */
      readonly forgetAfterMs?: number;
    }
  | {
      readonly strategy: 'rate';
      readonly window: RateWindow;
      /** 1 to 1,000,000; not above the calls of a count window. */
      readonly minimumCalls: number;
      /** Above 0, at most 1. */
      readonly failureRate: number;
    };

/** Calls that take at least `durationMs` are slow; when their share reaches `rate`, the breaker opens. */
export interface SlowCalls {
  readonly durationMs: number;
  /** Above 0, at most 1. */
  readonly rate: number;
}

const DAY_MS = 86_400_000;
const MAX_COUNT_WINDOW = 10_000;

/** @throws {BreakerInputError} naming the option and its value. */
export function checkTrip(field: string, trip: TripOptions): Trip {
  if (typeof trip !== 'object' || trip === null) {
    throw new BreakerInputError(field, `must be an object with strategy and its numbers, not ${shown(trip)}`);
  }
  const { strategy } = trip;
  if (strategy === 'consecutive') {
    checkObject(field, trip, ['strategy', 'failures', 'forgetAfterMs'], `${field}.`);
    const { failures, forgetAfterMs = 300_000 } = trip;
    wholeNumberWithin(`${field}.failures`, failures, 1, 10_000);
    wholeNumberWithin(`${field}.forgetAfterMs`, forgetAfterMs, 1, DAY_MS);
    return { strategy, failures, forgetAfterMs };
  }
  if (strategy === 'rate') {
    checkObject(field, trip, ['strategy', 'window', 'minimumCalls', 'failureRate'], `${field}.`);
    const { minimumCalls, failureRate } = trip;
    const window = checkWindow(`${field}.window`, trip.window);
    const most = window.kind === 'count' ? window.calls : 1_000_000;
    wholeNumberWithin(`${field}.minimumCalls`, minimumCalls, 1, most);
    fraction(`${field}.failureRate`, failureRate);
    return { strategy, window, minimumCalls, failureRate };
  }
  throw new BreakerInputError(`${field}.strategy`, `must be one of consecutive, rate, not ${shown(strategy)}`);
}

function checkWindow(field: string, window: RateWindow): RateWindow {
  if (window?.kind === 'count') {
    checkObject(field, window, ['kind', 'calls'], `${field}.`);
    wholeNumberWithin(`${field}.calls`, window.calls, 1, MAX_COUNT_WINDOW);
    return { kind: 'count', calls: window.calls };
  }
  if (window?.kind === 'time') {
    checkObject(field, window, ['kind', 'windowMs'], `${field}.`);
    wholeNumberWithin(`${field}.windowMs`, window.windowMs, 100, DAY_MS);
    return { kind: 'time', windowMs: window.windowMs };
  }
  throw new BreakerInputError(field, "must be { kind: 'count', calls } or { kind: 'time', windowMs }");
}

/** @throws {BreakerInputError} naming the option and its value. */
export function checkSlowCalls(field: string, slowCalls: SlowCalls): SlowCalls {
  checkObject(field, slowCalls, ['durationMs', 'rate'], `${field}.`);
  const { durationMs, rate } = slowCalls;
  wholeNumberWithin(`${field}.durationMs`, durationMs, 1, DAY_MS);
  fraction(`${field}.rate`, rate);
  return { durationMs, rate };
}
