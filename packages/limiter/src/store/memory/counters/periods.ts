import { periodStarts } from '../../../algorithm/calendar.ts';
import type { Policy, QuotaPeriod } from '../../../types.ts';
import type { Counter } from './counter.ts';

interface Period {
  readonly start: number;
  readonly end: number;
}

/** A counter that begins anew a window after its first unit: lua/algorithms/fixed-window.lua. */
export function fixedWindow(policy: () => Policy): Counter {
  return restarting((at) => ({ start: at, end: at + policy().windowMs }));
}

/** A counter for each day or month of a calendar: lua/algorithms/quota.lua. */
export function quota(calendar: QuotaPeriod, timeZone: string): Counter {
  return restarting((at) => {
    const [, start = at, end = at] = periodStarts(calendar, timeZone, at);
    return { start, end };
  });
}

// The two differ only in where a period ends.
function restarting(periodAt: (at: number) => Period): Counter {
  let period: Period = { start: -Infinity, end: -Infinity };
  let units = 0;
  const current = (at: number): Period => (at < period.end ? period : periodAt(at));
  const used = (at: number): number => (at < period.end ? units : 0);
  const resetAfter = (at: number): number => current(at).end - at;
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
