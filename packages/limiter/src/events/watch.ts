import { LRUCache } from 'lru-cache';
import type { Policy } from '../algorithms/registry.ts';
import { decisionWith } from '../decision.ts';
import type { LimiterMetrics } from '../metrics.ts';
import type { LimiterStore, StoreRequest, StoreWindow } from '../store/store.ts';
import type { Decision } from '../types.ts';

/** Reports how decisions went that were just asked for. */
export interface DecisionWatch {
  one(request: StoreRequest, decision: Promise<Decision>): Promise<Decision>;
  /** Of requests that are decided together. */
  all(requests: readonly StoreRequest[], decisions: Promise<readonly Decision[]>): Promise<readonly Decision[]>;
}

/** Callbacks for decisions. */
export interface WatchOptions {
  readonly metrics: Required<LimiterMetrics> | undefined;
  readonly notice: NearLimitNotice;
}

/**
 * The one place where decisions are looked at: they are timed and counted, and marked when they leave their subject near
 * its limit.
 */
export function watchDecisions({ metrics, notice }: WatchOptions): DecisionWatch {
  function seen(request: StoreRequest, decision: Decision, startedAt: number): Decision {
    const { policy, cost } = request;
    const near = isNearLimit(policy, decision);
    if (metrics !== undefined) {
      const durationMs = performance.now() - startedAt;
      metrics.decision({ policy: policy.name, outcome: decision.reason, durationMs });
      // A store of the caller's own may not say why.
      if (decision.reason === 'unavailable' || decision.source !== undefined)
        metrics.fallback(policy.name, policy.onUnavailable, decision.cause ?? 'error_answer');
      if (near) metrics.nearLimit(policy.name);
    }
    if (!near) return decision;
    if (crossesNearLimit(policy, decision, cost)) notice(request, decision);
    return decisionWith(decision, { nearLimit: true });
  }

  async function one(request: StoreRequest, decision: Promise<Decision>): Promise<Decision> {
    const startedAt = performance.now();
    return seen(request, await decision, startedAt);
  }

  return {
    one,
    async all(requests, decisions) {
      const startedAt = performance.now();
      const answers = await decisions;
      return answers.map((decision, index) => {
        const request = requests[index];
        return request === undefined ? decision : seen(request, decision, startedAt);
      });
    },
  };
}

/** Units that may be left for a subject to count as near its limit: 20 of 100 for the share 0.8. */
function unitsLeftAt(limit: number, share: number): number {
  // 100 × 0.55 is a hair above 55 in floating point; the 55th unit must count all the same.
  return limit - Math.ceil(limit * share - 1e-9);
}

/** Whether an admitted request leaves its subject at or beyond the policy's share of the limit. */
function isNearLimit({ nearLimit }: Policy, { reason, limit, remaining }: Decision): boolean {
  return nearLimit !== undefined && reason === 'allowed' && remaining <= unitsLeftAt(limit, nearLimit);
}

/** Whether it was this very request that brought it there: before it, more was left than the threshold. */
function crossesNearLimit({ nearLimit }: Policy, { limit, remaining }: Decision, cost: number): boolean {
  if (nearLimit === undefined) return false;
  const threshold = unitsLeftAt(limit, nearLimit);
  return remaining <= threshold && remaining + cost > threshold;
}

/** A subject that has just come near its limit. */
export interface NearLimitCrossing {
  readonly policy: string;
  readonly action: string;
  readonly subject: string;
  /** Units in a window. */
  readonly limit: number;
  /** Units left after the request that crossed. */
  readonly remaining: number;
}

/** Called for each decision that crosses; passes on new ones. */
export type NearLimitNotice = (window: StoreWindow, decision: Decision) => void;

/** Who gets the news. */
export interface NoticeOptions {
  readonly store: Pick<LimiterStore, 'nearLimit'>;
  readonly onNearLimit: ((crossing: NearLimitCrossing) => void) | undefined;
}

/** So many subjects are remembered as known to be near; the ones not heard of for longest go first. */
const MAX_REMEMBERED = 10_000;

/**
 * Makes a {@link NearLimitNotice} that passes on at most one crossing of a window's length per window: in a sliding
 * window units leave one by one, and a subject that stays busy crosses again with every second request.
 */
export function nearLimitNotice({ store, onNearLimit }: NoticeOptions): NearLimitNotice {
  let toldAtMs: LRUCache<string, number> | undefined;
  return (window, { limit, remaining, decidedAtMs }) => {
    const { policy, subject, action, key } = window;
    toldAtMs ??= new LRUCache<string, number>({ max: MAX_REMEMBERED });
    // The store's clock. A failover may step it back: a time that is still to come says nothing.
    const lastMs = toldAtMs.get(key);
    if (lastMs !== undefined && lastMs <= decidedAtMs && decidedAtMs < lastMs + policy.windowMs) return;
    toldAtMs.set(key, decidedAtMs);
    store.nearLimit?.(window, limit, remaining);
    onNearLimit?.({ policy: policy.name, action, subject, limit, remaining });
  };
}
