import type { Policy } from '../types.ts';

/** The most units that one request can get: the limit, or the burst of a token bucket. */
export function capacityOf(policy: Policy): number {
  return policy.algorithm === 'token-bucket' ? policy.burst : policy.limit;
}
