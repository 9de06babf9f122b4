import type { Decision, Policy } from '../types.ts';
import type { ListVerdict } from './entries.ts';

/** The answer for a subject on a list. Nothing is charged, so the whole limit is left; a shadow policy refuses nobody. */
export function listedDecision({ name, limit, mode }: Policy, verdict: ListVerdict): Decision {
  if (verdict === 'allow') {
    return {
      allowed: true,
      policy: name,
      reason: 'allow_listed',
      limit,
      remaining: limit,
      resetAt: Date.now(),
      resetAfterMs: 0,
      retryAfterMs: 0,
    };
  }
  const allowed = mode === 'shadow';
  return {
    allowed,
    policy: name,
    reason: allowed ? 'shadow' : 'deny_listed',
    limit,
    remaining: 0,
    resetAt: Infinity,
    resetAfterMs: Infinity,
    retryAfterMs: Infinity,
  };
}
