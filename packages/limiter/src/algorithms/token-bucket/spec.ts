import { wholeNumberWithin } from '../../checks.ts';
import { LimiterInputError } from '../../errors.ts';
import { type AlgorithmSpec, MAX_LIMIT, type WindowOption } from '../algorithm.ts';
import { tokenBucket as counter } from './memory.ts';

/** The rule of a policy whose units come back at an even rate. */
export interface TokenBucketRule {
  readonly algorithm: 'token-bucket';
  /** How many tokens the bucket holds. */
  readonly burst: number;
}

/** `limit` tokens come back in a window, evenly. */
export interface TokenBucketOptions extends WindowOption {
  readonly algorithm: 'token-bucket';
  /** How many tokens the bucket holds, 1 to 1,000,000,000, below or above the limit. @default limit */
  readonly burst?: number;
}

/** The token bucket; README.md beside it explains it. */
export const tokenBucket: AlgorithmSpec<TokenBucketRule> = {
  name: 'token-bucket',
  options: ['burst'],
  refuses: {},
  maxLimit: MAX_LIMIT,
  holdsSlots: false,
  sentAlike: true,
  rule: ({ limit, burst = limit }, field) => ({
    algorithm: 'token-bucket',
    burst: wholeNumberWithin(field('burst'), burst, 1, MAX_LIMIT),
  }),
  check({ limit, windowMs, burst }, field) {
    const most = maxBurst(limit, windowMs);
    if (burst <= most) return;
    throw new LimiterInputError(
      field('burst'),
      `must be at most ${most} with this limit and windowMs, not ${burst}: burst × windowMs at most 2^52, refilled in 34 years`,
    );
  },
  /** A burst that is the limit stays so, and one above it stays what it is. */
  changed(base, next) {
    const { limit, windowMs } = next;
    const kept = base.burst < base.limit ? Math.min(base.burst, limit) : base.burst;
    const wanted = base.burst === base.limit ? limit : kept;
    return { ...next, burst: Math.max(1, Math.min(wanted, maxBurst(limit, windowMs))) };
  },
  share: (policy, part) => ({ ...policy, burst: part(policy.burst) }),
  parameter: ({ burst }) => burst,
  text: () => '',
  counter,
};

/**
 * The largest burst: the level is counted in tokens × windowMs, up to twice the burst and exact up to 2^53; and it must be
 * refilled in 2^40 ms, so that the time until then can be said.
 */
function maxBurst(limit: number, windowMs: number): number {
  return Math.min(MAX_LIMIT, Math.floor(2 ** 52 / windowMs), Math.floor((2 ** 40 / windowMs) * limit));
}
