import type { Decision, Policy } from '../types.ts';

const seconds = (ms: number): number => Math.ceil(ms / 1000);

/**
 * The headers that tell a client where it stands: `RateLimit-Policy` and `RateLimit` as draft 11 of the IETF's
 * "RateLimit header fields for HTTP" has them, the older `X-RateLimit-*` three, and `Retry-After` on a refusal. Seconds
 * are rounded up, so that whoever waits as told is not refused again. Without an end there is no time to name, and a
 * shadow policy or an unavailable Redis has nothing to tell.
 */
export function rateLimitHeaders(decision: Decision, policy: Policy): Record<string, string> {
  const { allowed, limit, remaining, resetAt, resetAfterMs, retryAfterMs, reason } = decision;
  if (policy.mode === 'shadow') return {};
  if (reason === 'unavailable') return allowed ? {} : { 'Retry-After': String(seconds(retryAfterMs)) };
  const wait = allowed ? resetAfterMs : retryAfterMs;
  const headers: Record<string, string> = {
    'RateLimit-Policy': `"${policy.name}";q=${limit};w=${seconds(policy.windowMs)}`,
    RateLimit: `"${policy.name}";r=${remaining}${Number.isFinite(wait) ? `;t=${seconds(wait)}` : ''}`,
    'X-RateLimit-Limit': String(limit),
    'X-RateLimit-Remaining': String(remaining),
  };
  if (Number.isFinite(resetAt)) headers['X-RateLimit-Reset'] = String(seconds(resetAt));
  if (!allowed && Number.isFinite(retryAfterMs)) headers['Retry-After'] = String(seconds(retryAfterMs));
  return headers;
}
