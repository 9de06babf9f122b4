import { wholeNumberWithin } from '../../checks.ts';
import { LimiterInputError } from '../../errors.ts';
import {
  type AlgorithmSpec,
  capacityOf,
  type ChangingPolicy,
  type Charge,
  type Counter,
  MAX_LIMIT,
  type WindowOption,
} from '../algorithm.ts';

/*
 * Token bucket
 *
 * A bucket that holds `burst` tokens and gets `limit` of them back in each window. Kept as the equivalent generic cell rate algorithm (GCRA, ITU-T
 * I.371) in the form of a leaky bucket: a level that each unit raises and time lowers. In any stretch of time T at most
 * burst + T · limit / window units are admitted.
 *
 * The level is counted in units × window, so that it falls by `limit` in each ms and all sums are whole numbers, exact in a double up to 2^53.
 */

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

/** The token bucket. */
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

/**
 * A level that leaks, in units times window. It is scaled when a live change makes the window another.
 */
function counter(policy: () => ChangingPolicy<{ readonly burst: number }>, charges: readonly Charge[]): Counter {
  const capacity = (): number => capacityOf(policy());
  let level = 0;
  let updatedAt = -Infinity;
  let scaledBy = 0;
  const scaled = (): number =>
    level === 0 || scaledBy === policy().windowMs ? level : Math.ceil((level / scaledBy) * policy().windowMs);
  const levelAt = (at: number): number => (level === 0 ? 0 : Math.max(0, scaled() - (at - updatedAt) * policy().limit));
  const write = (at: number, next: number): void => {
    level = next;
    scaledBy = policy().windowMs;
    updatedAt = at;
  };
  const { windowMs } = policy();
  const last = charges.at(-1)?.at ?? 0;
  for (const { at, units } of charges.filter((charge) => charge.at > last - windowMs)) {
    write(at, Math.min(levelAt(at) + units * windowMs, 2 * capacity() * windowMs));
  }
  const used = (at: number): number => Math.ceil(levelAt(at) / policy().windowMs);
  return {
    algorithm: 'token-bucket',
    clamp: (at) => Math.max(at, updatedAt),
    used,
    resetAfter: (at) => Math.ceil(levelAt(at) / policy().limit),
    retryAfter: (at, cost) => Math.ceil((levelAt(at) + (cost - capacity()) * policy().windowMs) / policy().limit),
    add: (at, cost) => write(at, levelAt(at) + cost * policy().windowMs),
    take: (at, cost) => write(at, Math.max(0, levelAt(at) - cost * policy().windowMs)),
    charges: () => (level > 0 ? [{ at: updatedAt, units: Math.ceil(level / scaledBy) }] : []),
  };
}
