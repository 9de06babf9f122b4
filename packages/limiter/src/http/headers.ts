import type { Decision, Policy } from '../types.ts';
import { type RateLimitVersion, rateLimitSyntaxes } from './rate-limit-fields.ts';

/** How {@link rateLimitHeaders} writes. */
export interface RateLimitHeaderOptions {
  /** @default 'draft-11' */
  readonly version?: RateLimitVersion;
}

const seconds = (ms: number): number => Math.ceil(ms / 1000);

/**
 * The headers that tell a client where it stands: `RateLimit-Policy` and `RateLimit` as the IETF's draft has them, the
 * older `X-RateLimit-*` three, and `Retry-After` on a refusal. Seconds are rounded up, so that whoever waits as told is
 * not refused again. Without an end there is no time to name, and a shadow policy or an unavailable Redis has nothing to
 * tell. Neither the subject nor anything made of it is in them.
 *
 * With several decisions of one request, `RateLimit-Policy` lists all policies. `RateLimit` lists them too, but on a
 * refusal only those that refuse: `Retry-After` is the longest wait of these and thus never earlier than any `t`.
 */
export function rateLimitHeaders(
  decision: Decision | readonly Decision[],
  policy: Policy | readonly Policy[],
  { version = 'draft-11' }: RateLimitHeaderOptions = {},
): Record<string, string> {
  const decisions: readonly Decision[] = 'policy' in decision ? [decision] : decision;
  const policies: readonly Policy[] = 'name' in policy ? [policy] : policy;
  const refusals = decisions.filter(({ allowed }) => !allowed);
  const waitMs = Math.max(0, ...refusals.map(({ retryAfterMs }) => retryAfterMs));
  const retryAfter = refusals.length > 0 && Number.isFinite(waitMs) ? { 'Retry-After': String(seconds(waitMs)) } : {};

  const silent = new Set(policies.filter(({ mode }) => mode === 'shadow').map(({ name }) => name));
  const told = decisions.filter(({ reason, policy: name }) => reason !== 'unavailable' && !silent.has(name));
  const current = told.filter(({ allowed }) => refusals.length === 0 || !allowed);
  const tightest = current.toSorted(byTightness)[0];
  if (tightest === undefined) return retryAfter;
  const syntax = rateLimitSyntaxes[version];
  return {
    'RateLimit-Policy': syntax.policies(
      told.map(({ policy: name, limit }) => ({ name, quota: limit, ...windowOf(name, policies) })),
    ),
    RateLimit: syntax.limits(
      current.map((each) => ({ name: each.policy, remaining: each.remaining, ...resetOf(each) })),
    ),
    ...legacyHeaders(tightest),
    ...retryAfter,
  };
}

/** The three headers that say one limit only. */
function legacyHeaders({ limit, remaining, resetAt }: Decision): Record<string, string> {
  return {
    'X-RateLimit-Limit': String(limit),
    'X-RateLimit-Remaining': String(remaining),
    ...(Number.isFinite(resetAt) ? { 'X-RateLimit-Reset': String(seconds(resetAt)) } : {}),
  };
}

/** The longest wait first, then what has the smallest share left. */
function byTightness(one: Decision, other: Decision): number {
  if (one.retryAfterMs !== other.retryAfterMs) return one.retryAfterMs > other.retryAfterMs ? -1 : 1;
  return one.remaining / one.limit - other.remaining / other.limit;
}

function windowOf(name: string, policies: readonly Policy[]): { readonly windowSeconds?: number } {
  const policy = policies.find((each) => each.name === name);
  return policy === undefined ? {} : { windowSeconds: seconds(policy.windowMs) };
}

function resetOf({ allowed, resetAfterMs, retryAfterMs }: Decision): { readonly resetSeconds?: number } {
  const waitMs = allowed ? resetAfterMs : retryAfterMs;
  return Number.isFinite(waitMs) ? { resetSeconds: seconds(waitMs) } : {};
}
