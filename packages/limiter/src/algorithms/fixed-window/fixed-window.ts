import {
  type AlgorithmSpec,
  type Charge,
  chargesOf,
  type Counted,
  countedOf,
  type Counter,
  counting,
  MAX_LIMIT,
  type Period,
  type PolicyBase,
  type WindowOption,
} from '../algorithm.ts';

/*
 * Fixed window
 *
 * A counter that starts again a window after its first unit. Admits at most the limit in each window, and so at most twice the limit in a
 * trailing one. The window begins with its first unit and not at a round time, so that subjects don't all begin at once.
 */

/** The rule of a policy whose window begins with its first unit. */
export interface FixedWindowRule {
  readonly algorithm: 'fixed-window';
}

/** May admit twice its limit in a trailing window. */
export interface FixedWindowOptions extends WindowOption {
  readonly algorithm: 'fixed-window';
}

/** A count that begins again a window after its first unit. */
export const fixedWindow: AlgorithmSpec<FixedWindowRule> = {
  name: 'fixed-window',
  options: [],
  refuses: {},
  maxLimit: MAX_LIMIT,
  holdsSlots: false,
  sentAlike: true,
  rule: () => ({ algorithm: 'fixed-window' }),
  parameter: () => 0,
  text: ({ windowMs }, { spareMs }) => String(windowMs + spareMs),
  counter,
};

/** A count that begins again a window after its first unit. */
function counter(policy: () => PolicyBase, charges: readonly Charge[]): Counter {
  const last = charges.at(-1)?.at;
  const { windowMs } = policy();
  // It is unknown when a fixed window would have begun: it begins with the last unit, so that none is forgotten.
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
