import type { Decision } from '../types.ts';
import type { Policy } from '../algorithms/registry.ts';

/** Units that may be left for a subject to count as near its limit: 20 of 100 for the share 0.8. */
function unitsLeftAt(limit: number, share: number): number {
  // 100 × 0.55 is a hair above 55 in floating point; the 55th unit must count all the same.
  return limit - Math.ceil(limit * share - 1e-9);
}

/** Whether an admitted request leaves its subject at or beyond the policy's share of the limit. */
export function isNearLimit({ nearLimit }: Policy, { reason, limit, remaining }: Decision): boolean {
  return nearLimit !== undefined && reason === 'allowed' && remaining <= unitsLeftAt(limit, nearLimit);
}

/** Whether it was this very request that brought it there: before it, more was left than the threshold. */
export function crossesNearLimit({ nearLimit }: Policy, { limit, remaining }: Decision, cost: number): boolean {
  if (nearLimit === undefined) return false;
  const threshold = unitsLeftAt(limit, nearLimit);
  return remaining <= threshold && remaining + cost > threshold;
}
