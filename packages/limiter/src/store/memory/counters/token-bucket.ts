import { capacityOf } from '../../../algorithm/capacity.ts';
import type { Policy } from '../../../types.ts';
import type { Counter } from './counter.ts';

/**
 * The token bucket as a level that leaks: lua/algorithms/token-bucket.lua. The level is in units times window, and scaled
 * when a live change makes the window another.
 */
export function tokenBucket(policy: () => Policy): Counter {
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
  return {
    clamp: (now) => Math.max(now, updatedAt),
    used: (at) => Math.ceil(levelAt(at) / policy().windowMs),
    resetAfter: (at) => Math.ceil(levelAt(at) / policy().limit),
    retryAfter: (at, cost) =>
      Math.ceil((levelAt(at) + (cost - capacityOf(policy())) * policy().windowMs) / policy().limit),
    add: (at, cost) => write(at, levelAt(at) + cost * policy().windowMs),
    take: (at, cost) => write(at, Math.max(0, levelAt(at) - cost * policy().windowMs)),
  };
}
