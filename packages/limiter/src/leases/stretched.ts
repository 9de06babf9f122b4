import type { StoreRequest } from '../store/store.ts';
import { type Policy, specOf } from '../algorithms/registry.ts';

const known = new WeakMap<Policy, Policy>();

/**
 * The request as the store is to see it: under a leased policy units count for the lease's time longer than the window. A
 * unit is spent at most that long after it was charged, so whatever is spent in a trailing window still counts in the
 * store: never more than the limit.
 */
export function stretched(request: StoreRequest): StoreRequest {
  const { policy } = request;
  if (policy.lease === undefined) return request;
  let whole = known.get(policy);
  if (whole === undefined) {
    const { lease, ...rest } = policy;
    whole = { ...rest, windowMs: policy.windowMs + lease.ttlMs };
    known.set(policy, whole);
  }
  return { ...request, policy: whole };
}

/** When units were charged that leave the window at `resetAt`: of a bucket its beginning. Both by the store's clock. */
export function chargedAtMs(policy: Policy, resetAt: number): number {
  const grainMs = specOf(policy).grainMs?.(policy) ?? 0;
  return resetAt - policy.windowMs - Math.max(0, grainMs - 1);
}
