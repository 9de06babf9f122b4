import { crossesNearLimit, isNearLimit, type NearLimitNotice } from '../events/near-limit.ts';
import type { StoreRequest } from '../store/store.ts';
import type { Decision } from '../types.ts';
import type { LimiterMetrics } from '../metrics/metrics.ts';

/** Reports how decisions went that were just asked for. */
export interface DecisionWatch {
  one(request: StoreRequest, decision: Promise<Decision>): Promise<Decision>;
  /** Of requests that are decided together. */
  all(requests: readonly StoreRequest[], decisions: Promise<readonly Decision[]>): Promise<readonly Decision[]>;
}

/** Who is told about decisions. */
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
    return { ...decision, nearLimit: true };
  }

  async function one(request: StoreRequest, decision: Promise<Decision>): Promise<Decision> {
    const startedAt = performance.now();
    return seen(request, await decision, startedAt);
  }

  return {
    // Without anything to tell the promise is passed on as it is: to wait for it takes turns of the microtask queue.
    one: (request, decision) =>
      metrics === undefined && request.policy.nearLimit === undefined ? decision : one(request, decision),
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
