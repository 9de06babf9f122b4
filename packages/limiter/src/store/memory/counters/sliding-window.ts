import type { Policy } from '../../../types.ts';
import type { Counter } from './counter.ts';

/** The sliding window in sub-buckets: lua/algorithms/sliding-window.lua. Counts by the index of their bucket. */
export function slidingWindow(policy: () => Policy, buckets: number): Counter {
  let counts = new Map<number, number>();
  // Nothing is counted yet: any width will do.
  let kept = 1;
  const width = (): number => Math.ceil(policy().windowMs / buckets);

  // When the width has changed, each bucket's units go where its last moment lies.
  function rescale(at: number): void {
    const next = width();
    if (next === kept) return;
    const moved = new Map<number, number>();
    for (const [index, units] of counts) {
      const to = Math.min(Math.floor(at / next), Math.floor(((index + 1) * kept - 1) / next));
      moved.set(to, (moved.get(to) ?? 0) + units);
    }
    counts = moved;
    kept = next;
  }

  function live(at: number): [number, number][] {
    rescale(at);
    const oldest = Math.floor((at - policy().windowMs + 1) / width());
    return [...counts].filter(([index, units]) => index >= oldest && units > 0);
  }

  const leaves = (index: number): number => (index + 1) * width() + policy().windowMs - 1;
  return {
    clamp: (now) => Math.max(now, Math.max(-Infinity, ...counts.keys()) * kept),
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
      // Time has been seen up to here, though nothing may be left that was counted then.
      const newest = Math.floor(at / width());
      counts.set(newest, counts.get(newest) ?? 0);
    },
    takeFrom(chargedAt, cost) {
      const index = Math.floor(chargedAt / kept);
      counts.set(index, Math.max(0, (counts.get(index) ?? 0) - cost));
    },
  };
}

function sum(entries: readonly (readonly [number, number])[]): number {
  return entries.reduce((total, [, units]) => total + units, 0);
}
