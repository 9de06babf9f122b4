import { type Item, type List, parseList } from 'structured-headers';
import type { QuotaPolicy, ServiceLimit } from '../src/http/headers.ts';

/** What a server's answer says about its limits. */
export interface RateLimitFields {
  /** From `RateLimit-Policy`. */
  readonly policies: readonly QuotaPolicy[];
  /** From `RateLimit`. */
  readonly limits: readonly ServiceLimit[];
  /** From `Retry-After`, given in seconds. */
  readonly retryAfterSeconds?: number;
}

/** Reads the rate limit headers of an answer, with a parser of RFC 9651 that is not ours. */
export function parseRateLimit(headers: Pick<Headers, 'get'>): RateLimitFields {
  const retryAfterSeconds = parseRetryAfter(headers.get('retry-after'));
  return {
    policies: items(headers.get('ratelimit-policy')).flatMap(toPolicy),
    limits: items(headers.get('ratelimit')).flatMap(toLimit),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  };
}

function items(field: string | null): readonly Item[] {
  let list: List;
  try {
    list = parseList(field ?? '');
  } catch {
    return [];
  }
  return list.filter((member): member is Item => !Array.isArray(member[0]));
}

function toPolicy([name, parameters]: Item): QuotaPolicy[] {
  const quota = count(parameters.get('q'));
  const windowSeconds = count(parameters.get('w'));
  if (typeof name !== 'string' || quota === undefined) return [];
  return [windowSeconds === undefined ? { name, quota } : { name, quota, windowSeconds }];
}

function toLimit([name, parameters]: Item): ServiceLimit[] {
  const remaining = count(parameters.get('r'));
  const resetSeconds = count(parameters.get('t'));
  if (typeof name !== 'string' || remaining === undefined) return [];
  return [resetSeconds === undefined ? { name, remaining } : { name, remaining, resetSeconds }];
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : undefined;
}

function parseRetryAfter(field: string | null): number | undefined {
  return field !== null && /^\d{1,15}$/.test(field) ? Number(field) : undefined;
}
