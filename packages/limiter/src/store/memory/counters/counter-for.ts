import type { Policy } from '../../../types.ts';
import { concurrency } from './concurrency.ts';
import type { Counter } from './counter.ts';
import { fixedWindow, quota } from './periods.ts';
import { slidingLog } from './sliding-log.ts';
import { slidingWindow } from './sliding-window.ts';
import { tokenBucket } from './token-bucket.ts';

/** Makes the counter of a policy's algorithm. `current` is asked anew each time: limits can change while a counter lives. */
export function counterFor(policy: Policy, current: () => Policy): Counter {
  if (policy.algorithm === 'sliding-log') return slidingLog(current);
  if (policy.algorithm === 'sliding-window') return slidingWindow(current, policy.buckets);
  if (policy.algorithm === 'fixed-window') return fixedWindow(current);
  if (policy.algorithm === 'token-bucket') return tokenBucket(current);
  if (policy.algorithm === 'quota') return quota(policy.period, policy.timeZone);
  return concurrency(current);
}
