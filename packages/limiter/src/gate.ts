import { listedDecision } from './live/listed-decision.ts';
import type { LivePolicies } from './live/live-policies.ts';
import type { LimiterMetrics } from './metrics/metrics.ts';
import type { Decision, Policy } from './types.ts';

/** Decides what needs no window, in this process. Undefined: the window has to be asked. */
export interface Gate {
  consume(policy: Policy, subject: string): Decision | undefined;
  /** The same, uncounted. */
  peek(policy: Policy, subject: string): Decision | undefined;
}

/** What a {@link gate} is made of. */
export interface GateParts {
  readonly live: LivePolicies | undefined;
  readonly metrics: Required<LimiterMetrics> | undefined;
}

/** Makes a {@link Gate}: whoever is on a list of the live policies is admitted or refused, whatever was used. */
export function gate({ live, metrics }: GateParts): Gate {
  function peek(policy: Policy, subject: string): Decision | undefined {
    const verdict = live?.listed(subject);
    return verdict === undefined ? undefined : listedDecision(policy, verdict);
  }

  return {
    peek,
    consume(policy, subject) {
      const decision = peek(policy, subject);
      if (decision !== undefined) {
        metrics?.decision({ policy: policy.name, outcome: decision.reason, durationMs: 0 });
      }
      return decision;
    },
  };
}
