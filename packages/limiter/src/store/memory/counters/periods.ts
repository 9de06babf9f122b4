import { periodStarts } from '../../../algorithm/calendar.ts';
import type { Policy, QuotaPeriod } from '../../../types.ts';
import type { Counter } from './counter.ts';

interface Period {
  readonly start: number;
  readonly end: number;
}

/** A counter that begins anew a window after its first unit: lua/algorithms/fixed-window.lua. */
export function fixedWindow(policy: () => Policy): Counter {
  // The end is the policy's as it is now: a live change of the window moves it.
  const withEnd = (start: number): Period => ({ start, end: start + policy().windowMs });
  return restarting(withEnd, ({ start }) => withEnd(start).end);
}

/** A counter for each day or month of a calendar: lua/algorithms/quota.lua. */
export function quota(calendar: QuotaPeriod, timeZone: string): Counter {
  return restarting((at) => {
    const [, start = at, end = at] = periodStarts(calendar, timeZone, at);
    return { start, end };
  });
}

// The two differ only in where a period ends.
function restarting(periodAt: (at: number) => Period, endOf: (period: Period) => number = ({ end }) => end): Counter {
  let period: Period = { start: -Infinity, end: -Infinity };
  let units = 0;
  const current = (at: number): Period => (at < endOf(period) ? period : periodAt(at));
  const used = (at: number): number => (at < endOf(period) ? units : 0);
  const resetAfter = (at: number): number => endOf(current(at)) - at;
  const write = (at: number, count: number): void => {
    period = current(at);
    units = count;
  };
  return {
    clamp: (now) => Math.max(now, period.start),
    used,
    resetAfter,
    retryAfter: resetAfter,
    add: (at, cost) => write(at, used(at) + cost),
    take: (at, cost) => write(at, Math.max(0, used(at) - cost)),
  };
}
