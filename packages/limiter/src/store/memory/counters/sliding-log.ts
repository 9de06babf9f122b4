import type { Policy } from '../../../types.ts';
import type { Counter } from './counter.ts';

/** The exact sliding log: lua/sliding-log.lua. */
export function slidingLog(policy: () => Policy): Counter {
  let units: number[] = [];
  const live = (at: number): number[] => units.filter((unit) => unit > at - policy().windowMs);
  return {
    clamp: (now) => Math.max(now, units.at(-1) ?? now),
    used: (at) => live(at).length,
    resetAfter: (at) => (units.at(-1) ?? at) + policy().windowMs - at,
    retryAfter: (at, cost) => {
      const counting = live(at);
      return (counting[counting.length + cost - policy().limit - 1] ?? at) + policy().windowMs - at;
    },
    add(at, cost) {
      units = live(at);
      for (let unit = 0; unit < cost; unit += 1) units.push(at);
    },
    take(at, cost) {
      units = live(at);
      units.length = Math.max(0, units.length - cost);
    },
    takeFrom(chargedAt, cost) {
      let left = cost;
      units = units.filter((unit) => unit !== chargedAt || left-- <= 0);
    },
  };
}
