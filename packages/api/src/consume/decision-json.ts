import type { Decision } from '@spillway/limiter';

/** A number of ms, or null for "no end": JSON has no Infinity. */
type Milliseconds = number | null;

/** A decision as it travels. The members are those of `Decision`. */
export interface DecisionJson {
  readonly allowed: boolean;
  readonly policy: string;
  readonly reason: Decision['reason'];
  readonly limit: number;
  readonly remaining: number;
  readonly resetAt: Milliseconds;
  readonly resetAfterMs: Milliseconds;
  readonly retryAfterMs: Milliseconds;
  /** Absent when no block runs. */
  readonly blockedUntil?: Milliseconds;
}

/** Turns a decision into what is sent: null where a time never comes. */
export function toDecisionJson(decision: Decision): DecisionJson {
  const { allowed, policy, reason, limit, remaining, resetAt, resetAfterMs, retryAfterMs, blockedUntil } = decision;
  return {
    allowed,
    policy,
    reason,
    limit,
    remaining,
    resetAt: finite(resetAt),
    resetAfterMs: finite(resetAfterMs),
    retryAfterMs: finite(retryAfterMs),
    ...(blockedUntil === undefined ? {} : { blockedUntil: finite(blockedUntil) }),
  };
}

function finite(ms: number): Milliseconds {
  return Number.isFinite(ms) ? ms : null;
}
