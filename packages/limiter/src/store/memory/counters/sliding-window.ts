import type { Policy } from '../../../types.ts';
import type { Counter } from './counter.ts';

/** The sliding window in sub-buckets: lua/algorithms/sliding-window.lua. Counts by the index of their bucket. */
export function slidingWindow(policy: () => Policy, buckets: number): Counter {
  let counts = new Map<number, number>();
  const width = (): number => Math.ceil(policy().windowMs / buckets);
  const live = (at: number): [number, number][] => {
    const oldest = Math.floor((at - policy().windowMs + 1) / width());
    return [...counts].filter(([index, units]) => index >= oldest && units > 0);
  };
  const leaves = (index: number): number => (index + 1) * width() + policy().windowMs - 1;
  return {
    clamp: (now) => Math.max(now, Math.max(-Infinity, ...counts.keys()) * width()),
    used: (at) => sum(live(at)),
    resetAfter: (at) => Math.max(at, ...live(at).map(([index]) => leaves(index))) - at,
    retryAfter(at, cost) {
      const entries = live(at);
      let over = sum(entries) + cost - policy().limit;
      for (const [index, units] of entries) {
        over -= units;
        if (over <= 0) return leaves(index) - at;
      }
      return policy().windowMs;
    },
    add(at, cost) {
      counts = new Map(live(at));
      const index = Math.floor(at / width());
      counts.set(index, (counts.get(index) ?? 0) + cost);
    },
    take(at, cost) {
      let left = cost;
      for (const [index, units] of live(at).toReversed()) {
        counts.set(index, units - Math.min(left, units));
        left -= Math.min(left, units);
      }
    },
  };
}

function sum(entries: readonly (readonly [number, number])[]): number {
  return entries.reduce((total, [, units]) => total + units, 0);
}
