import { wholeNumberWithin } from '../../checks.ts';
import { type AlgorithmSpec, MAX_LIMIT, type PolicyOf, type WindowOption } from '../algorithm.ts';
import { slidingWindow as counter } from './memory.ts';

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

/** The sliding window in buckets; README.md beside it explains it. */
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
