import type { Limiter } from '@spillway/limiter';
import { byIp } from '@spillway/limiter/http';
import type { Context } from 'hono';
import type { ApiEnv, Principal, Authenticator, Verdict } from '../openapi/api-app.ts';
import { problem } from '../problems.ts';

/*
 * The API limits itself twice. Before the credential is known: an address that sends many credentials that are not valid gets 429 for the
 * rest of its minute, in this process and without Redis, since a signature costs more to check than to make up. What is known to be
 * valid goes on from the same address: others may be behind it. Behind the guard: each key and each subject of JWTs has so many
 * requests a minute, counted in Redis by the limiter itself. Requests for decisions and of breakers are not counted: their number is
 * that of the clients of other services, and counting one costs what deciding it does.
 */

/** Bounds on what is done for clients that can't prove who they are. */
export interface AttemptBounds {
  /** Credentials of one address that turn out not to be valid, a minute. @default 60 */
  readonly failuresPerMinute?: number;
  /** Proxies whose `X-Forwarded-For` counts: addresses and CIDRs, as `byIp` takes them. @default [], the connection's address counts */
  readonly trustedProxies?: readonly string[];
}

/** A credential's check was refused, for so many ms: its address has sent too many that are not valid. */
export interface TooManyAttempts {
  readonly kind: 'too-many';
  readonly retryAfterMs: number;
}

/** Checks the credential of a request. */
export type Verify = (context: Context<ApiEnv>, token: string) => Promise<Verdict | TooManyAttempts>;

const MINUTE = 60_000;

/** Addresses that are remembered, and JWTs that were valid; then the oldest goes. */
const MOST_REMEMBERED = 10_000;

/** JWTs of one address whose signatures are checked at the same time. */
const MOST_AT_ONCE = 64;

interface Failures {
  count: number;
  checking: number;
  readonly endsAt: number;
}

/** Bounds an authenticator. An API key is always looked up, which costs less than refusing it. */
export function boundedVerify(
  keys: Authenticator,
  { failuresPerMinute = 60, trustedProxies = [] }: AttemptBounds = {},
): Verify {
  const addressOf = byIp({ trustedProxies });
  const addresses = new Map<string, Failures>();
  const valid = new Map<string, true>();

  function failuresOf(context: Context<ApiEnv>): Failures {
    const address = addressOf(context.req.raw, context) ?? '';
    const known = addresses.get(address);
    if (known !== undefined && (known.endsAt > performance.now() || known.checking > 0)) return known;
    const fresh = { count: 0, checking: 0, endsAt: performance.now() + MINUTE };
    remember(addresses, address, fresh);
    return fresh;
  }

  function failed(failures: Failures, verdict: Verdict): Verdict | TooManyAttempts {
    if (failures.count >= failuresPerMinute) return tooMany(failures.endsAt - performance.now());
    failures.count += 1;
    return verdict;
  }

  return async (context, token) => {
    if (token.startsWith('sw_')) {
      // A decision has one: whose address it is matters only when it isn't valid.
      const verdict = await keys.verify(token);
      return verdict.kind === 'unknown' ? failed(failuresOf(context), verdict) : verdict;
    }
    const failures = failuresOf(context);
    if (!valid.has(token)) {
      if (failures.count >= failuresPerMinute) return tooMany(failures.endsAt - performance.now());
      if (failures.checking >= MOST_AT_ONCE) return tooMany(1_000);
    }
    failures.checking += 1;
    const verdict = await Promise.resolve(keys.verify(token)).finally(() => (failures.checking -= 1));
    if (verdict.kind === 'known') remember(valid, token, true);
    if (verdict.kind !== 'unknown') return verdict;
    valid.delete(token);
    return failed(failures, verdict);
  };
}

function tooMany(ms: number): TooManyAttempts {
  return { kind: 'too-many', retryAfterMs: Math.max(1, ms) };
}

function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  const [oldest] = map.keys();
  if (map.size >= MOST_REMEMBERED && oldest !== undefined) map.delete(oldest);
  map.set(key, value);
}

/** Counts a request of a principal. @returns the refusal of one too many */
export type CountRequest = (principal: Principal) => Promise<Response | undefined>;

/** The policy's name: no other may count under it. */
export const OWN_POLICY = 'spillway-api';

/** Counts by a limiter that has {@link OWN_POLICY}. */
export function countRequests(limiter: Pick<Limiter, 'consume'>): CountRequest {
  return async ({ kind, id }) => {
    const { allowed, retryAfterMs } = await limiter.consume(OWN_POLICY, `${kind}:${id}`);
    return allowed ? undefined : tooManyRequests(retryAfterMs);
  };
}

function tooManyRequests(ms: number): Response {
  const detail = 'This key has sent as many requests as it may within a minute.';
  return problem('too-many-requests', { detail }, { 'Retry-After': String(Math.ceil(ms / 1_000)) });
}

/** 429: the address has sent too many credentials that are not valid. */
export function tooManyAttempts({ retryAfterMs }: TooManyAttempts): Response {
  const detail = 'This address has sent too many invalid credentials.';
  return problem('too-many-attempts', { detail }, { 'Retry-After': String(Math.ceil(retryAfterMs / 1_000)) });
}
