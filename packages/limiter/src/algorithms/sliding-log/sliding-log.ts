import {
  type AlgorithmSpec,
  type Charge,
  type Counter,
  MAX_LOG_LIMIT,
  type PolicyBase,
  type WindowOption,
} from '../algorithm.ts';

/*
 * Sliding log
 *
 * The exact sliding window: each admitted unit is kept with its time. A request of cost c at time t fits when at most limit − c
 * units lie in (t − window, t]; units at or before t − window have left. It is the textbook exact limiter; ours is the packing.
 *
 * What makes it fast is to write little: an admission appends 5 bytes, the unit's time less the window's base. Two other things are done seldom:
 *
 * - units that have left are cut off once they are half the limit, or 16 and a sixteenth of it if that is less: the shorter the string, the
 *   less there is to hash and to look through;
 * - the time to live is set two windows ahead and moved on only when less than one window is left of it.
 *
 * Rewriting the string at each admission is simpler and was twice as slow: Lua hashes and keeps every string it makes.
 *
 * A failover can step the clock back. A window's own newest unit is a lower bound of its time: the decision is made at that time then, and waits are counted from the server's.
 */

/** The rule of a policy that keeps the time of each unit. */
export interface SlidingLogRule {
  readonly algorithm: 'sliding-log';
}

/** Exact; takes 5 bytes a unit. */
export interface SlidingLogOptions extends WindowOption {
  readonly algorithm: 'sliding-log';
}

/** The exact sliding log. */
export const slidingLog: AlgorithmSpec<SlidingLogRule> = {
  name: 'sliding-log',
  options: [],
  refuses: {},
  maxLimit: MAX_LOG_LIMIT,
  holdsSlots: false,
  sentAlike: true,
  rule: () => ({ algorithm: 'sliding-log' }),
  grainMs: () => 0,
  parameter: () => 0,
  text: ({ windowMs }, { spareMs }) => String(2 * windowMs + spareMs),
  counter,
};

/** So many units may have left before they are cut off. */
function cutAt(limit: number): number {
  return Math.min(limit / 2, 16 + Math.floor(limit / 16));
}

/** The times of all units. */
function counter(policy: () => PolicyBase, charges: readonly Charge[], now: number): Counter {
  let units = adopt(within(charges, policy().windowMs, now), 2 * policy().limit);
  const live = (at: number): number[] => units.filter((unit) => unit > at - policy().windowMs);
  return {
    algorithm: 'sliding-log',
    clamp: (at) => Math.max(at, units.at(-1) ?? at),
    used: (at) => live(at).length,
    resetAfter: (at) => (units.at(-1) ?? at) + policy().windowMs - at,
    retryAfter: (at, cost) => {
      const counting = live(at);
      return (counting[counting.length + cost - policy().limit - 1] ?? at) + policy().windowMs - at;
    },
    add(at, cost, _slot, blocked) {
      // Units that have left are kept for as long as Redis keeps them: a window that is made longer counts them again.
      const counting = live(at);
      const left = units.length - counting.length;
      if (blocked || left >= cutAt(policy().limit)) units = counting;
      for (let unit = 0; unit < cost; unit += 1) units.push(at);
    },
    take(at, cost) {
      units = live(at).slice(cost);
    },
    takeFrom(chargedAt, cost) {
      let left = cost;
      units = units.filter((unit) => unit !== chargedAt || left-- <= 0);
    },
    charges: () => units.map((at) => ({ at, units: 1 })),
  };
}

/** Those charges that a window which ends at the last of them, or now, holds. */
function within(charges: readonly Charge[], windowMs: number, now: number): readonly Charge[] {
  const cutoff = Math.max(now, charges.at(-1)?.at ?? now) - windowMs;
  return charges.filter(({ at }) => at > cutoff);
}

/** Of more than `most` the youngest. */
function adopt(charges: readonly Charge[], most: number): number[] {
  const units: number[] = [];
  for (const charge of charges.toReversed()) {
    for (let unit = 0; unit < charge.units && units.length < most; unit += 1) units.push(charge.at);
  }
  return units.toReversed();
}
