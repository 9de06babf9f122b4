import type { Algorithm, Policy } from '../../../types.ts';
import { concurrency } from './concurrency.ts';
import type { Charge, Counter } from './counter.ts';
import { fixedWindow, quota } from './periods.ts';
import { slidingLog } from './sliding-log.ts';
import { slidingWindow } from './sliding-window.ts';
import { tokenBucket } from './token-bucket.ts';

type MakeCounter = (policy: () => Policy, charges: readonly Charge[], now: number) => Counter;

const makers: Readonly<Record<Algorithm, MakeCounter>> = {
  'sliding-log': slidingLog,
  'sliding-window': slidingWindow,
  'fixed-window': fixedWindow,
  'token-bucket': tokenBucket,
  quota,
  concurrency,
};

/**
 * Makes the counter of a policy's algorithm, with what another one has counted. `current` is asked each time: limits can
 * change while a counter lives.
 */
export function counterFor(
  { algorithm }: Policy,
  current: () => Policy,
  charges: readonly Charge[],
  now: number,
): Counter {
  return makers[algorithm](current, charges, now);
}
