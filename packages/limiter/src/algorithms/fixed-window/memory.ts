import {
  type Charge,
  type Counter,
  type PolicyBase,
  chargesOf,
  type Counted,
  countedOf,
  counting,
  type Period,
} from '../algorithm.ts';

/** A count that begins again a window after its first unit. */
export function fixedWindow(policy: () => PolicyBase, charges: readonly Charge[]): Counter {
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
