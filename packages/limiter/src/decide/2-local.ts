import type { DenyCache } from '../deny-cache/deny-cache.ts';
import { listedDecision } from './listed-decision.ts';
import type { LivePolicies } from '../live/live-policies.ts';
import type { LimiterMetrics } from '../metrics/metrics.ts';
import type { ConsumeOptions, Decision } from '../types.ts';
import type { Policy } from '../algorithms/registry.ts';

/** Decides what needs no window, in this process. Undefined: the window has to be asked. */
export interface Gate {
  consume(policy: Policy, subject: string, options: ConsumeOptions): Promise<Decision> | undefined;
  /** The same, uncounted. */
  peek(policy: Policy, subject: string, options: ConsumeOptions): Promise<Decision> | undefined;
  /** What the lists alone say. */
  listed(policy: Policy, subject: string): Decision | undefined;
}

/** What a {@link gate} is made of. */
export interface GateParts {
  readonly live: LivePolicies | undefined;
  readonly denyCache: DenyCache | undefined;
  readonly metrics: Required<LimiterMetrics> | undefined;
}

/**
 * Makes a {@link Gate}: a subject that is blocked everywhere is refused, one on a list of the live policies is admitted or
 * refused, whatever was used, and one that is known to be blocked is refused.
 */
export function gate({ live, denyCache, metrics }: GateParts): Gate {
  function look(policy: Policy, subject: string): Decision | undefined {
    const listing = live?.listed(subject);
    return listing === undefined ? undefined : listedDecision(policy, listing);
  }

  function listed(policy: Policy, subject: string): Decision | undefined {
    const decision = look(policy, subject);
    if (decision !== undefined) {
      metrics?.decision({ policy: policy.name, outcome: decision.reason, durationMs: 0 });
    }
    return decision;
  }

  return {
    listed,
    consume(policy, subject, options) {
      const decision = live === undefined ? undefined : listed(policy, subject);
      if (decision !== undefined) return Promise.resolve(decision);
      const refusal = denyCache?.refuse(policy, subject, options, true);
      if (refusal !== undefined && metrics !== undefined) {
        metrics.cacheHit('deny');
        metrics.decision({ policy: policy.name, outcome: 'blocked', durationMs: 0 });
      }
      return refusal;
    },
    peek(policy, subject, options) {
      const decision = look(policy, subject);
      if (decision !== undefined) return Promise.resolve(decision);
      return denyCache?.refuse(policy, subject, options, false);
    },
  };
}
