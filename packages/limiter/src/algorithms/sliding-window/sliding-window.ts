import { wholeNumberWithin } from '../../checks.ts';
import {
  type AlgorithmSpec,
  type ChangingPolicy,
  type Charge,
  type Counter,
  MAX_LIMIT,
  type PolicyOf,
  type WindowOption,
} from '../algorithm.ts';

/*
 * Sliding window in buckets
 *
 * For limits too large for a log. The window is cut into buckets of equal width, counted from 1970 on, so that a trailing window touches at
 * most one more. All buckets that it touches count whole, the oldest too: never are more than the limit admitted in any trailing window, at the
 * price that units leave up to one bucket's width late. Weighing the oldest bucket instead, as is common, admits up to twice the limit.
 *
 * Where the window or the number of buckets has changed since, the units of a bucket count as if they had come in its last moment.
 */

const MAX_BUCKETS = 120;

/** Into how many buckets a window is cut unless its policy says so. */
const DEFAULT_BUCKETS = 20;

/** The rule of a policy that counts units by stretches of its window. */
export interface SlidingWindowRule {
  readonly algorithm: 'sliding-window';
  /** Into how many the window is cut. */
  readonly buckets: number;
}

/** Never above the limit in any trailing window; units leave up to one bucket late. */
export interface SlidingWindowOptions extends WindowOption {
  readonly algorithm: 'sliding-window';
  /** Into how many the window is cut, 2 to 120. @default 20 */
  readonly buckets?: number;
}

/** The sliding window in buckets. */
export const slidingWindow: AlgorithmSpec<SlidingWindowRule> = {
  name: 'sliding-window',
  options: ['buckets'],
  refuses: {},
  maxLimit: MAX_LIMIT,
  holdsSlots: false,
  sentAlike: true,
  rule: ({ buckets = DEFAULT_BUCKETS }, field) => ({
    algorithm: 'sliding-window',
    buckets: wholeNumberWithin(field('buckets'), buckets, 2, MAX_BUCKETS),
  }),
  grainMs: bucketMs,
  parameter: ({ buckets }) => buckets,
  text: (policy, { spareMs }) => String(policy.windowMs + 2 * bucketMs(policy) + spareMs),
  counter,
};

function bucketMs({ windowMs, buckets }: PolicyOf<SlidingWindowRule>): number {
  return Math.ceil(windowMs / buckets);
}

/** Units by the index of their bucket, oldest first, and how wide the buckets are. */
interface Buckets {
  readonly counts: ReadonlyMap<number, number>;
  /** Index of the newest, empty or not: time has been seen up to there. */
  readonly newest: number;
  readonly width: number;
}

/** Counts by bucket. */
function counter(
  policy: () => ChangingPolicy<{ readonly buckets: number }>,
  charges: readonly Charge[],
  now: number,
): Counter {
  // What it was when it counted last: another algorithm may ask for its charges.
  let parts = 1;
  const width = (): number => {
    const { windowMs, buckets } = policy();
    if (buckets !== undefined) parts = buckets;
    return Math.ceil(windowMs / parts);
  };
  let kept: Buckets | undefined = charges.length > 0 ? adopted(charges, width(), now) : undefined;

  const live = (at: number): ReadonlyMap<number, number> => liveOf(kept, policy().windowMs, width(), at);

  function write(at: number, counts: Map<number, number>): void {
    kept = { counts, newest: Math.floor(at / width()), width: width() };
  }

  const leaves = (index: number): number => (index + 1) * width() + policy().windowMs - 1;
  return {
    algorithm: 'sliding-window',
    clamp: (at) => Math.max(at, kept === undefined ? at : kept.newest * kept.width),
    used: (at) => sum(live(at)),
    resetAfter: (at) => Math.max(at, ...[...live(at).keys()].map(leaves)) - at,
    retryAfter(at, cost) {
      const entries = live(at);
      let over = sum(entries) + cost - policy().limit;
      for (const [index, units] of entries) {
        over -= units;
        if (over <= 0) return leaves(index) - at;
      }
      return policy().windowMs;
    },
    // Moved once and for all: a bucket of long ago would be moved to now again and again.
    settle(at) {
      const counts = new Map(live(at));
      if (kept !== undefined && kept.width !== width() && sum(counts) > 0) write(at, counts);
    },
    add(at, cost) {
      const index = Math.floor(at / width());
      const counts = new Map(live(at));
      write(at, counts.set(index, (counts.get(index) ?? 0) + cost));
    },
    take(at, cost) {
      let left = cost;
      const counts = new Map(live(at));
      for (const [index, units] of counts) {
        counts.set(index, units - Math.min(left, units));
        left -= Math.min(left, units);
      }
      write(at, counts);
    },
    takeFrom(chargedAt, cost) {
      if (kept === undefined) return;
      const index = Math.floor(chargedAt / kept.width);
      const units = kept.counts.get(index);
      if (units === undefined) return;
      kept = { ...kept, counts: new Map(kept.counts).set(index, Math.max(0, units - cost)) };
    },
    charges: (at) => (kept === undefined ? [] : chargesOf(kept, at)),
  };
}

/** Those that count at `at`, by the width of now: a bucket of another width counts where its last moment lies. */
function liveOf(kept: Buckets | undefined, windowMs: number, width: number, at: number): ReadonlyMap<number, number> {
  const counting = new Map<number, number>();
  if (kept === undefined) return counting;
  const oldest = Math.floor((at - windowMs + 1) / width);
  for (const [index, units] of kept.counts) {
    const place = moved(index, kept.width, width, at);
    if (place >= oldest && units > 0) counting.set(place, (counting.get(place) ?? 0) + units);
  }
  return counting;
}

function chargesOf({ counts, newest, width }: Buckets, now: number): readonly Charge[] {
  const last = Math.max(now, newest * width);
  const all = [...counts].map(([index, units]) => ({ at: Math.min((index + 1) * width - 1, last), units }));
  return all.filter(({ units }) => units > 0);
}

function moved(index: number, from: number, to: number, at: number): number {
  return from === to ? index : Math.floor(Math.min((index + 1) * from - 1, at) / to);
}

function adopted(charges: readonly Charge[], width: number, now: number): Buckets {
  const counts = new Map<number, number>();
  for (const { at, units } of charges) {
    const index = Math.floor(at / width);
    counts.set(index, (counts.get(index) ?? 0) + units);
  }
  return { counts, width, newest: Math.floor(Math.max(now, charges.at(-1)?.at ?? now) / width) };
}

function sum(entries: ReadonlyMap<number, number>): number {
  let total = 0;
  for (const units of entries.values()) total += units;
  return total;
}
