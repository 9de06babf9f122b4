import type { RedisFaultCode } from '@spillway/redis';
import { monotonicClock } from '@spillway/redis/core';
import type { Policy } from './algorithms/registry.ts';
import type { CombinedDecision, Decision } from './types.ts';

/** Outcome codes of a store; the numbers are those of batch.lua. */
export const outcomes = {
  allowed: 0,
  limited: 1,
  blockBegins: 2,
  blocked: 3,
  withheld: 4,
  stale: 5,
  foreign: 6,
} as const;

/** One of {@link outcomes}. */
export type Outcome = (typeof outcomes)[keyof typeof outcomes];

/**
 * Turns a store's answer into a decision. Times are in ms, `Infinity` = for ever; `nowMs` is the store's clock. `blockLeftMs`
 * is how long the block lasts that runs or begins; the wait can be longer.
 */
export function toDecision(
  { name, limit, mode }: Policy,
  outcome: number,
  remaining: number,
  resetAfterMs: number,
  retryAfterMs: number,
  nowMs: number,
  blockLeftMs: number = retryAfterMs,
): Decision {
  const resetAtMs = nowMs + resetAfterMs;
  if (outcome === outcomes.allowed) {
    return {
      allowed: true,
      policy: name,
      reason: 'allowed',
      limit,
      remaining,
      decidedAtMs: nowMs,
      resetAtMs,
      resetAfterMs,
      retryAfterMs,
    };
  }
  if (outcome === outcomes.withheld) {
    return {
      allowed: false,
      policy: name,
      reason: 'withheld',
      limit,
      remaining,
      decidedAtMs: nowMs,
      resetAtMs,
      resetAfterMs,
      retryAfterMs,
    };
  }
  const allowed = mode === 'shadow';
  const reason = allowed ? 'shadow' : outcome === outcomes.limited ? 'limited' : 'blocked';
  const decision: Decision = {
    allowed,
    policy: name,
    reason,
    limit,
    remaining,
    decidedAtMs: nowMs,
    resetAtMs,
    resetAfterMs,
    retryAfterMs,
  };
  return outcome === outcomes.limited ? decision : { ...decision, blockedUntilMs: nowMs + blockLeftMs };
}

/**
 * What a policy answers while Redis doesn't; a shadow policy refuses no request. The times are unknown: a second is a
 * polite guess for a refusal.
 */
export function unavailableDecision(
  { name, limit, onUnavailable, mode }: Policy,
  cause: RedisFaultCode,
  admits: boolean = onUnavailable !== 'closed',
): Decision {
  const allowed = admits || mode === 'shadow';
  const wait = allowed ? 0 : 1_000;
  const nowMs = Date.now();
  return {
    allowed,
    policy: name,
    reason: 'unavailable',
    cause,
    limit,
    remaining: allowed ? limit : 0,
    decidedAtMs: nowMs,
    resetAtMs: nowMs + wait,
    resetAfterMs: wait,
    retryAfterMs: wait,
  };
}

/** The answer to a request that was not asked about, since another of its group was refused first: nothing is charged. */
export function withheldWithoutStore({ name, limit }: Policy): Decision {
  const nowMs = Date.now();
  return {
    allowed: false,
    policy: name,
    reason: 'withheld',
    limit,
    remaining: limit,
    decidedAtMs: nowMs,
    resetAtMs: nowMs,
    resetAfterMs: 0,
    retryAfterMs: 0,
  };
}

/** Sums up the answers to requests that were decided together. */
export function combine(decisions: readonly Decision[]): CombinedDecision {
  const refused = decisions.filter(({ allowed, reason }) => !allowed && reason !== 'withheld');
  return {
    allowed: decisions.every(({ allowed }) => allowed),
    decisions,
    refusedBy: refused.map(({ policy }) => policy),
    retryAfterMs: Math.max(0, ...refused.map(({ retryAfterMs }) => retryAfterMs)),
  };
}

/** The state of a subject in the live entries, under every policy: on a list, or blocked everywhere until `endsAt`. */
export type Listing =
  | { readonly verdict: 'allow' | 'deny' }
  | {
      readonly verdict: 'blocked';
      /** In ms since 1970 by Redis' clock, or `Infinity`. */
      readonly blockedUntilMs: number;
      /** The same by `performance.now()`. */
      readonly endsAt: number;
    };

/** The answer for such a subject. Nothing is charged, so the whole limit is left; a shadow policy refuses no request. */
export function listedDecision({ name, limit, mode }: Policy, listing: Listing): Decision {
  const nowMs = Date.now();
  if (listing.verdict === 'allow') {
    return {
      allowed: true,
      policy: name,
      reason: 'allow_listed',
      limit,
      remaining: limit,
      decidedAtMs: nowMs,
      resetAtMs: nowMs,
      resetAfterMs: 0,
      retryAfterMs: 0,
    };
  }
  const allowed = mode === 'shadow';
  const blocked = listing.verdict === 'blocked' ? listing : undefined;
  const left = blocked === undefined ? Infinity : Math.max(0, Math.ceil(blocked.endsAt - monotonicClock.now()));
  const end = blocked?.blockedUntilMs ?? Infinity;
  const reason = blocked === undefined ? 'deny_listed' : 'blocked';
  return {
    allowed,
    policy: name,
    reason: allowed ? 'shadow' : reason,
    limit,
    remaining: 0,
    decidedAtMs: Number.isFinite(end) ? end - left : nowMs,
    resetAtMs: end,
    resetAfterMs: left,
    retryAfterMs: left,
    ...(blocked === undefined ? {} : { blockedUntilMs: end }),
  };
}

/** The same where another of its group refuses: what it was charged is given back, or was not taken. */
export function withheld(decision: Decision): Decision {
  return { ...decision, allowed: false, reason: 'withheld' };
}
