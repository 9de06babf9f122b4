import type { ChangingPolicy, Charge, Counter } from '../algorithm.ts';
import { chargesOf, type Counted, countedOf, counting, type Period } from '../periods.ts';
import { periodStarts, type QuotaPeriod } from './calendar.ts';

/** A count for each day or month of a calendar. */
export function quota(
  policy: () => ChangingPolicy<{ readonly period: QuotaPeriod; readonly timeZone: string }>,
  charges: readonly Charge[],
  now: number,
): Counter {
  function periodAt(at: number): Period {
    const { period, timeZone } = policy();
    if (period === undefined || timeZone === undefined) return { start: at, end: at };
    const [, start, end] = periodStarts(period, timeZone, at);
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
