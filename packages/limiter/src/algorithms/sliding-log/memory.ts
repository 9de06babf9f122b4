import type { Charge, Counter, PolicyBase } from '../algorithm.ts';

/** The times of all units. */
export function slidingLog(policy: () => PolicyBase, charges: readonly Charge[], now: number): Counter {
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
      if (blocked || (left > 0 && left * 2 >= policy().limit)) units = counting;
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
