import type { Policy } from '../algorithms/registry.ts';
import type { Decision } from '../types.ts';
import type { RequestHeaders } from './identity.ts';

/** Which headers are sent. `none` leaves out `Retry-After` too. */
export type HeaderChoice = 'draft' | 'legacy' | 'both' | 'none';

export const HEADER_CHOICES: readonly HeaderChoice[] = ['draft', 'legacy', 'both', 'none'];

/** All headers that {@link rateLimitHeaders} may set. A refusal removes those of a guard in front of it, and sets its own. */
export const ALL_HEADERS: readonly string[] = [
  'RateLimit-Policy',
  'RateLimit',
  'X-RateLimit-Limit',
  'X-RateLimit-Remaining',
  'X-RateLimit-Reset',
  'Retry-After',
];

const seconds = (ms: number): number => Math.ceil(ms / 1000);

/**
 * The headers that tell a client where it stands: `RateLimit-Policy` and `RateLimit` as the IETF's draft has them, the
 * older `X-RateLimit-*` three, and `Retry-After` on a refusal. Seconds are rounded up, so that a client that waits this long is
 * not refused again. Without an end there is no time to name, and a shadow policy or an unavailable Redis has nothing to
 * tell. Neither the subject nor anything made of it is in them.
 *
 * With several decisions of one request, `RateLimit-Policy` lists all policies. `RateLimit` lists them too, but on a
 * refusal only those that refuse: `Retry-After` is the longest wait of these and thus never earlier than any `t`.
 */
export function rateLimitHeaders(
  decision: Decision | readonly Decision[],
  policy: Policy | readonly Policy[],
  choice: HeaderChoice = 'both',
): Record<string, string> {
  if (choice === 'none') return {};
  if ('policy' in decision && 'name' in policy) return headersOfOne(decision, policy, choice);
  return headersOfAll('policy' in decision ? [decision] : decision, 'name' in policy ? [policy] : policy, choice);
}

/** Nearly all requests have one policy. */
function headersOfOne(decision: Decision, policy: Policy, choice: HeaderChoice): Record<string, string> {
  if (policy.mode === 'shadow') return {};
  const { allowed, limit, remaining, reason, resetAtMs, retryAfterMs } = decision;
  if (reason === 'unavailable') return retryAfter(allowed ? Infinity : retryAfterMs);
  const headers: Record<string, string> = {};
  if (choice !== 'legacy') {
    const { quota, quotedName } = draftOf(policy, limit);
    headers['RateLimit-Policy'] = quota;
    headers['RateLimit'] = limitText(decision, quotedName);
  }
  if (choice !== 'draft') {
    headers['X-RateLimit-Limit'] = String(limit);
    headers['X-RateLimit-Remaining'] = String(remaining);
    if (Number.isFinite(resetAtMs)) headers['X-RateLimit-Reset'] = String(seconds(resetAtMs));
  }
  if (!allowed && Number.isFinite(retryAfterMs)) headers['Retry-After'] = String(seconds(retryAfterMs));
  return headers;
}

/** What the draft's headers say of a policy, the same in each answer. */
interface DraftTexts {
  readonly limit: number;
  /** All of `RateLimit-Policy`. */
  readonly quota: string;
  /** The beginning of `RateLimit`. */
  readonly quotedName: string;
}

const draftTexts = new WeakMap<Policy, DraftTexts>();

/** Made once a policy: a decision may have another limit than its policy only while a live change is under way. */
function draftOf(policy: Policy, limit: number): DraftTexts {
  const known = draftTexts.get(policy);
  if (known?.limit === limit) return known;
  const { name, windowMs } = policy;
  const quota = policyMember({ name, quota: limit, windowSeconds: seconds(windowMs) });
  const texts = { limit, quota, quotedName: quoted(name) };
  draftTexts.set(policy, texts);
  return texts;
}

function headersOfAll(
  decisions: readonly Decision[],
  policies: readonly Policy[],
  choice: HeaderChoice,
): Record<string, string> {
  const refusals = decisions.filter(({ allowed, reason }) => !allowed && reason !== 'withheld');
  const waitMs = refusals.length === 0 ? Infinity : Math.max(...refusals.map(({ retryAfterMs }) => retryAfterMs));
  const byName = new Map(policies.map((policy) => [policy.name, policy]));
  const told = decisions.filter(
    ({ reason, policy }) => reason !== 'unavailable' && byName.get(policy)?.mode !== 'shadow',
  );
  const current = told.filter((each) => refusals.length === 0 || refusals.includes(each));
  const [tightest] = current.toSorted(byTightness);
  if (tightest === undefined) return retryAfter(waitMs);
  const draft = {
    'RateLimit-Policy': told.map((each) => policyText(each, byName.get(each.policy))).join(', '),
    RateLimit: current.map((each) => limitText(each)).join(', '),
  };
  return {
    ...(choice === 'legacy' ? {} : draft),
    ...(choice === 'draft' ? {} : legacyHeaders(tightest)),
    ...retryAfter(waitMs),
  };
}

function policyText({ policy: name, limit }: Decision, policy: Policy | undefined): string {
  if (policy === undefined) return policyMember({ name, quota: limit });
  return policyMember({ name, quota: limit, windowSeconds: seconds(policy.windowMs) });
}

function limitText(decision: Decision, quotedName: string = quoted(decision.policy)): string {
  const { allowed, remaining, resetAfterMs, retryAfterMs } = decision;
  const waitMs = allowed ? resetAfterMs : retryAfterMs;
  return quotedName + limitParameters(remaining, Number.isFinite(waitMs) ? seconds(waitMs) : undefined);
}

/** The three headers that say one limit only. */
function legacyHeaders({ limit, remaining, resetAtMs }: Decision): Record<string, string> {
  return {
    'X-RateLimit-Limit': String(limit),
    'X-RateLimit-Remaining': String(remaining),
    ...(Number.isFinite(resetAtMs) ? { 'X-RateLimit-Reset': String(seconds(resetAtMs)) } : {}),
  };
}

function retryAfter(waitMs: number): Record<string, string> {
  return Number.isFinite(waitMs) ? { 'Retry-After': String(seconds(waitMs)) } : {};
}

/** The longest wait first, then what has the smallest share left. */
export function byTightness(one: Decision, other: Decision): number {
  if (one.retryAfterMs !== other.retryAfterMs) return one.retryAfterMs > other.retryAfterMs ? -1 : 1;
  return one.remaining / one.limit - other.remaining / other.limit;
}

/**
 * Asks a refused client to wait longer, by a random part of up to `jitter` of its wait: those refused in one moment
 * would otherwise all be back in one moment. Never shorter, so that a client that waits this long is not refused again; an
 * admitted client's times, and the end of a block, stay as they are.
 *
 * @param jitter from 0 (as it is) to 1 (up to twice as long).
 * @param random a number from 0 to below 1.
 */
export function withRetryJitter(decision: Decision, jitter: number, random: () => number = Math.random): Decision {
  const { allowed, retryAfterMs, resetAtMs, resetAfterMs } = decision;
  // What is withheld has nothing to wait for: its `retryAfterMs` is 0.
  if (allowed || jitter === 0 || !Number.isFinite(retryAfterMs)) return decision;
  const extraMs = Math.floor(random() * jitter * retryAfterMs);
  return {
    ...decision,
    retryAfterMs: retryAfterMs + extraMs,
    resetAtMs: resetAtMs + extraMs,
    resetAfterMs: resetAfterMs + extraMs,
  };
}

/** What `RateLimit-Policy` says of one policy. */
export interface QuotaPolicy {
  readonly name: string;
  /** Units in a window. */
  readonly quota: number;
  /** Length of the window in seconds. */
  readonly windowSeconds?: number;
}

/** What `RateLimit` says of one policy. */
export interface ServiceLimit {
  readonly name: string;
  /** Units left. */
  readonly remaining: number;
  /** After how many seconds more will be left. */
  readonly resetSeconds?: number;
}

/** A member of `RateLimit-Policy`: a String of RFC 9651 with parameters, as draft 11 of the IETF's "RateLimit header fields for HTTP" has it. */
export function policyMember({ name, quota, windowSeconds }: QuotaPolicy): string {
  return quoted(name) + parameter('q', quota) + parameter('w', windowSeconds);
}

/** A member of `RateLimit`, by the same draft. */
export function limitMember({ name, remaining, resetSeconds }: ServiceLimit): string {
  return quoted(name) + limitParameters(remaining, resetSeconds);
}

function limitParameters(remaining: number, resetSeconds: number | undefined): string {
  return parameter('r', remaining) + parameter('t', resetSeconds);
}

/** The largest Integer of RFC 9651. */
const MAX_INTEGER = 999_999_999_999_999;

function parameter(key: string, value: number | undefined): string {
  return value === undefined ? '' : `;${key}=${Math.min(value, MAX_INTEGER)}`;
}

/** What every policy's name is. */
const PLAIN = /^[\w-]*$/;

/** A String of RFC 9651. It has no characters but ASCII's printable ones: others are percent-encoded. */
function quoted(name: string): string {
  if (PLAIN.test(name)) return `"${name}"`;
  const ascii = name.toWellFormed().replaceAll(/[^\x20-\x7e]/gu, (character) => encodeURIComponent(character));
  return `"${ascii.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

/** The header by which a browser lets a page of another origin read others. */
export const EXPOSE_HEADERS = 'Access-Control-Expose-Headers';

/** Adds names to the value of `Access-Control-Expose-Headers`; those that are there already stay as they are. */
export function exposeHeaders(current: string | null | undefined, names: readonly string[]): string {
  const listed = (current ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const known = new Set(listed.map((name) => name.toLowerCase()));
  return [...listed, ...names.filter((name) => !known.has(name.toLowerCase()))].join(', ');
}

/**
 * Whether it is a browser's question before a request of another origin (CORS). It carries no credentials, so it says
 * nothing of who is asking, and the request that it asks about is charged.
 */
export function isPreflight(method: string | undefined, { headers }: RequestHeaders): boolean {
  return (
    method === 'OPTIONS' && headers.get('origin') !== null && headers.get('access-control-request-method') !== null
  );
}
