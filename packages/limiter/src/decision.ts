import type { RedisFaultCode } from '@spillway/redis';
import { monotonicClock } from '@spillway/redis/core';
import type { Policy } from './algorithms/registry.ts';
import type { CombinedDecision, Decision, DecisionReason } from './types.ts';

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
  const admits = outcome === outcomes.allowed;
  const withholds = outcome === outcomes.withheld;
  const watches = mode === 'shadow' && !admits && !withholds;
  const refusal = outcome === outcomes.limited ? 'limited' : 'blocked';
  const decision: Mutable = {
    allowed: admits || watches,
    policy: name,
    reason: admits ? 'allowed' : withholds ? 'withheld' : watches ? 'shadow' : refusal,
    limit,
    remaining,
    decidedAtMs: nowMs,
    resetAtMs: nowMs + resetAfterMs,
    resetAfterMs,
    retryAfterMs,
  };
  if (!admits && !withholds && refusal === 'blocked') decision.blockedUntilMs = nowMs + blockLeftMs;
  return decision;
}

/** A decision in the making. Node 20 takes a microsecond for a spread with a member more, and 20 ns to assign one. */
type Mutable = { -readonly [Member in keyof Decision]: Decision[Member] };

/** A copy with more to it. */
export function decisionWith(
  decision: Decision,
  more: Partial<Pick<Decision, 'nearLimit' | 'slot' | 'source' | 'cause'>>,
): Decision {
  const { allowed, policy, reason, limit, remaining, decidedAtMs, resetAtMs, resetAfterMs, retryAfterMs } = decision;
  const { nearLimit = decision.nearLimit, slot = decision.slot } = more;
  const { source = decision.source, cause = decision.cause } = more;
  const copy: Mutable = {
    allowed,
    policy,
    reason,
    limit,
    remaining,
    decidedAtMs,
    resetAtMs,
    resetAfterMs,
    retryAfterMs,
  };
  if (decision.blockedUntilMs !== undefined) copy.blockedUntilMs = decision.blockedUntilMs;
  if (nearLimit !== undefined) copy.nearLimit = nearLimit;
  if (slot !== undefined) copy.slot = slot;
  if (source !== undefined) copy.source = source;
  if (cause !== undefined) copy.cause = cause;
  return copy;
}

/** A decision without a window: `waitMs` from `nowMs` on it can be another one. */
export function decisionWithoutWindow(
  { name, limit }: Policy,
  allowed: boolean,
  reason: DecisionReason,
  remaining: number,
  waitMs = 0,
  nowMs: number = Date.now(),
): Decision {
  return {
    allowed,
    policy: name,
    reason,
    limit,
    remaining,
    decidedAtMs: nowMs,
    resetAtMs: nowMs + waitMs,
    resetAfterMs: waitMs,
    retryAfterMs: waitMs,
  };
}

/**
 * What a policy answers while Redis doesn't; a shadow policy refuses no request. The times are unknown: a second is a
 * polite guess for a refusal.
 */
export function unavailableDecision(
  policy: Policy,
  cause: RedisFaultCode,
  admits: boolean = policy.onUnavailable !== 'closed',
): Decision {
  const allowed = admits || policy.mode === 'shadow';
  const [left, waitMs] = allowed ? [policy.limit, 0] : [0, 1_000];
  const decision: Mutable = decisionWithoutWindow(policy, allowed, 'unavailable', left, waitMs);
  decision.cause = cause;
  return decision;
}

/** The answer to a request that was not asked about, since another of its group was refused first: nothing is charged. */
export function withheldWithoutStore(policy: Policy): Decision {
  return decisionWithoutWindow(policy, false, 'withheld', policy.limit);
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
export function listedDecision(policy: Policy, listing: Listing): Decision {
  if (listing.verdict === 'allow') return decisionWithoutWindow(policy, true, 'allow_listed', policy.limit);
  const allowed = policy.mode === 'shadow';
  if (listing.verdict !== 'blocked') {
    return decisionWithoutWindow(policy, allowed, allowed ? 'shadow' : 'deny_listed', 0, Infinity);
  }
  const { blockedUntilMs, endsAt } = listing;
  const leftMs = Math.max(0, Math.ceil(endsAt - monotonicClock.now()));
  const nowMs = blockedUntilMs === Infinity ? Date.now() : blockedUntilMs - leftMs;
  const reason = allowed ? 'shadow' : 'blocked';
  const decision: Mutable = decisionWithoutWindow(policy, allowed, reason, 0, leftMs, nowMs);
  decision.blockedUntilMs = blockedUntilMs;
  return decision;
}

/** The same where another of its group refuses: what it was charged is given back, or was not taken. */
export function withheld(decision: Decision): Decision {
  return { ...decision, allowed: false, reason: 'withheld' };
}
