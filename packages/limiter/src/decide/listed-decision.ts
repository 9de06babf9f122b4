import type { Decision } from '../types.ts';
import type { Policy } from '../algorithms/registry.ts';

/** What the live entries say of a subject, whatever the policy: on a list, or blocked everywhere until `endsAt`. */
export type Listing =
  | { readonly verdict: 'allow' | 'deny' }
  | {
      readonly verdict: 'blocked';
      /** In ms since 1970 by Redis' clock, or `Infinity`. */
      readonly blockedUntil: number;
      /** The same by `performance.now()`. */
      readonly endsAt: number;
    };

/** The answer for such a subject. Nothing is charged, so the whole limit is left; a shadow policy refuses nobody. */
export function listedDecision({ name, limit, mode }: Policy, listing: Listing): Decision {
  if (listing.verdict === 'allow') {
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
  const blocked = listing.verdict === 'blocked' ? listing : undefined;
  const left = blocked === undefined ? Infinity : Math.max(0, Math.ceil(blocked.endsAt - performance.now()));
  const end = blocked?.blockedUntil ?? Infinity;
  const reason = blocked === undefined ? 'deny_listed' : 'blocked';
  return {
    allowed,
    policy: name,
    reason: allowed ? 'shadow' : reason,
    limit,
    remaining: 0,
    resetAt: end,
    resetAfterMs: left,
    retryAfterMs: left,
    ...(blocked === undefined ? {} : { blockedUntil: end }),
  };
}
