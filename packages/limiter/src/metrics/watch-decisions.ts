import type { NearLimitNotice } from '../near-limit/near-limit-notice.ts';
import { crossesNearLimit, isNearLimit } from '../near-limit/near-limit.ts';
import type { StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';
import type { LimiterMetrics } from './metrics.ts';

/** Decides a request by `decide` and reports how that went. */
export type WatchDecision = (
  request: StoreRequest,
  decide: (request: StoreRequest) => Promise<Decision>,
) => Promise<Decision>;

/** Who is told about decisions. */
export interface WatchOptions {
  readonly metrics: Required<LimiterMetrics> | undefined;
  readonly notice: NearLimitNotice;
}

/**
 * The one place where decisions are looked at: they are timed and counted, and marked when they leave their subject near
 * its limit. A limiter without metrics doesn't come here for policies without `nearLimit`.
 */
export function watchDecisions({ metrics, notice }: WatchOptions): WatchDecision {
  return async (request, decide) => {
    const { policy, cost } = request;
    const startedAt = metrics === undefined ? 0 : performance.now();
    const decision = await decide(request);
    const near = isNearLimit(policy, decision);
    if (metrics !== undefined) {
      const durationMs = performance.now() - startedAt;
      metrics.decision({ policy: policy.name, outcome: decision.reason, durationMs });
      if (decision.reason === 'unavailable') metrics.fallback(policy.name, policy.onUnavailable);
      if (near) metrics.nearLimit(policy.name);
    }
    if (!near) return decision;
    if (crossesNearLimit(policy, decision, cost)) notice(request, decision);
    return { ...decision, nearLimit: true };
  };
}
