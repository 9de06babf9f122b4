import { type Item, type List, parseList } from 'structured-headers';
import type { QuotaPolicy, ServiceLimit } from './rate-limit-fields.ts';

/** What a server's answer says about its limits. */
export interface RateLimitFields {
  /** From `RateLimit-Policy`. */
  readonly policies: readonly QuotaPolicy[];
  /** From `RateLimit`. */
  readonly limits: readonly ServiceLimit[];
  /** From `Retry-After`, given in seconds or as a date; absent when the server names no time. */
  readonly retryAfterSeconds?: number;
}

/**
 * Reads the rate limit headers of an answer, for clients that want to slow down in time. A field that isn't well-formed
 * counts as absent, as do items without what they must have; parameters that aren't known are passed over.
 * @example
 * ```ts
 * const { limits, retryAfterSeconds } = parseRateLimit((await fetch(url)).headers);
 * ```
 */
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
  if (field === null) return undefined;
  if (/^\d{1,15}$/.test(field)) return Number(field);
  // A date of RFC 9110 begins with the day's name; Date.parse alone would take almost anything.
  const atMs = /^[A-Z][a-z]+,? /.test(field) ? Date.parse(field) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, Math.ceil((atMs - Date.now()) / 1000));
}
