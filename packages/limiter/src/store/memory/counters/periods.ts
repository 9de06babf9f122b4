import { periodStarts } from '../../../algorithm/calendar.ts';
import type { Policy } from '../../../types.ts';
import type { Charge, Counter } from './counter.ts';

interface Period {
  readonly start: number;
  readonly end: number;
}

/** Units of a period, and when the last of them came. */
interface Counted extends Period {
  readonly units: number;
  readonly last: number;
}

/** A counter that begins anew a window after its first unit: algorithms/fixed-window. */
export function fixedWindow(policy: () => Policy, charges: readonly Charge[]): Counter {
  const last = charges.at(-1)?.at;
  const { windowMs } = policy();
  // Nobody knows when a fixed window would have begun: it begins with the last unit, so that none is forgotten.
  let counted =
    last === undefined
      ? undefined
      : countedOf(
          { start: last, end: 0 },
          charges.filter(({ at }) => at > last - windowMs),
        );
  // The end is the policy's as it is now: a live change of the window moves it.
  const endOf = ({ start }: Period): number => start + policy().windowMs;
  const current = (at: number): Counted =>
    counted !== undefined && at < endOf(counted) ? counted : { start: at, end: 0, units: 0, last: at };
  return {
    algorithm: 'fixed-window',
    ...counting(
      current,
      endOf,
      () => counted?.start,
      (next) => {
        counted = next;
      },
    ),
    charges: (at) => chargesOf(counted, (period) => Math.max(at, period.start) < endOf(period)),
  };
}

/** A counter for each day or month of a calendar: algorithms/quota. */
export function quota(policy: () => Policy, charges: readonly Charge[], now: number): Counter {
  function periodAt(at: number): Period {
    const rule = policy();
    if (rule.algorithm !== 'quota') return { start: at, end: at };
    const [, start, end] = periodStarts(rule.period, rule.timeZone, at);
    return { start, end };
  }

  let counted: Counted | undefined;
  if (charges.length > 0) {
    const period = periodAt(Math.max(now, charges.at(-1)?.at ?? now));
    const all = charges.filter(({ at }) => at >= period.start);
    if (all.length > 0) counted = countedOf(period, all);
  }

  // Units of another period, before the policy was changed, count if the last of them came in this one.
  function current(at: number): Counted {
    const period = periodAt(at);
    if (counted === undefined || at >= counted.end) return { ...period, units: 0, last: at };
    const same = counted.start === period.start && counted.end === period.end;
    return same || counted.last >= period.start ? { ...counted, ...period } : { ...period, units: 0, last: at };
  }

  return {
    algorithm: 'quota',
    ...counting(
      current,
      ({ end }) => end,
      () => counted?.start,
      (next) => {
        counted = next;
      },
    ),
    settle(at) {
      if (counted === undefined) return;
      const next = current(at);
      if (next.last === counted.last && next.units === counted.units) counted = next;
    },
    charges: (at) => chargesOf(counted, (period) => Math.max(at, period.start) < period.end),
  };
}

// The two differ only in where a period ends.
function counting(
  current: (at: number) => Counted,
  endOf: (period: Period) => number,
  start: () => number | undefined,
  write: (counted: Counted) => void,
): Omit<Counter, 'algorithm' | 'charges'> {
  const resetAfter = (at: number): number => endOf(current(at)) - at;
  return {
    clamp: (now) => Math.max(now, start() ?? now),
    used: (at) => current(at).units,
    resetAfter,
    retryAfter: resetAfter,
    add: (at, cost) => write({ ...current(at), units: current(at).units + cost, last: at }),
    take: (at, cost) => write({ ...current(at), units: Math.max(0, current(at).units - cost) }),
  };
}

function countedOf(period: Period, charges: readonly Charge[]): Counted {
  const units = charges.reduce((sum, charge) => sum + charge.units, 0);
  return { ...period, units, last: charges.at(-1)?.at ?? period.start };
}

/** All as if they had come with the last of them. */
function chargesOf(counted: Counted | undefined, runs: (period: Period) => boolean): readonly Charge[] {
  if (counted === undefined || counted.units === 0 || !runs(counted)) return [];
  return [{ at: counted.last, units: counted.units }];
}
