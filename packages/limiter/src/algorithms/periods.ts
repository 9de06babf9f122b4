import type { Charge, Counter } from './algorithm.ts';

/** A stretch of time of which units are counted together. */
export interface Period {
  readonly start: number;
  readonly end: number;
}

/** Units of a period, and when the last of them came. */
export interface Counted extends Period {
  readonly units: number;
  readonly last: number;
}

/** What the counters of a fixed window and of a quota have in common: they differ only in where a period begins and ends. */
export function counting(
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

/** All units as those of one period. */
export function countedOf(period: Period, charges: readonly Charge[]): Counted {
  const units = charges.reduce((sum, charge) => sum + charge.units, 0);
  return { ...period, units, last: charges.at(-1)?.at ?? period.start };
}

/** All as if they had come with the last of them. */
export function chargesOf(counted: Counted | undefined, runs: (period: Period) => boolean): readonly Charge[] {
  if (counted === undefined || counted.units === 0 || !runs(counted)) return [];
  return [{ at: counted.last, units: counted.units }];
}
