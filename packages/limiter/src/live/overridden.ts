import { LimiterInputError } from '../errors.ts';
import { MAX_LOG_LIMIT, MAX_WINDOW_MS, maxBurst } from '../policy/policy.ts';
import type { Policy } from '../types.ts';
import type { Override } from './entries.ts';

/**
 * The policy with an override's numbers. Its algorithm stays, and with it the window in which usage is counted; numbers
 * that the algorithm can't have are cut to what it can, since the policy may have changed after the override was checked.
 * A token bucket whose burst is its limit keeps it so, and one whose burst is above it keeps its burst; a lease is given up for a policy that blocks.
 */
export function overridden(base: Policy, override: Override): Policy {
  const { limit = base.limit, windowMs = base.windowMs, blockMs = base.blockMs, mode = base.mode } = override;
  if (base.algorithm === 'quota') return { ...base, limit, blockMs, mode };
  if (base.algorithm === 'concurrency') return { ...base, limit: Math.min(limit, MAX_LOG_LIMIT), windowMs, mode };
  if (base.algorithm === 'token-bucket') {
    const burst = base.burst < base.limit ? Math.min(base.burst, limit) : base.burst;
    const wanted = base.burst === base.limit ? limit : burst;
    return { ...base, limit, windowMs, blockMs, mode, burst: Math.max(1, Math.min(wanted, maxBurst(limit, windowMs))) };
  }
  const atMost = base.algorithm === 'sliding-log' ? Math.min(limit, MAX_LOG_LIMIT) : limit;
  const { lease, ...plain } = { ...base, limit: atMost, windowMs, blockMs, mode };
  if (lease === undefined || blockMs > 0) return plain;
  // What the new numbers leave no room for is cut.
  const ttlMs = Math.min(lease.ttlMs, windowMs, MAX_WINDOW_MS - windowMs);
  return ttlMs < 1 ? plain : { ...plain, lease: { size: Math.min(lease.size, atMost), ttlMs } };
}

/** @throws {LimiterInputError} when the policy's algorithm can't have a number of the override. */
export function checkFits({ algorithm }: Policy, { limit, windowMs, blockMs }: Override): void {
  const isLog = algorithm === 'sliding-log' || algorithm === 'concurrency';
  if (isLog && limit !== undefined && limit > MAX_LOG_LIMIT) {
    throw new LimiterInputError('limit', `must be at most ${MAX_LOG_LIMIT} under ${algorithm}, not ${limit}`);
  }
  if (algorithm === 'quota' && windowMs !== undefined) {
    throw new LimiterInputError('windowMs', 'must be left out for a quota, whose window is the calendar’s');
  }
  if (algorithm === 'concurrency' && blockMs !== undefined && blockMs > 0) {
    throw new LimiterInputError('blockMs', 'must be 0 under concurrency');
  }
}
