import type { LimiterMetrics } from '@spillway/limiter';

/** Passes a limiter's metrics to two sinks. */
export function bothMetrics(one: LimiterMetrics, other: LimiterMetrics): LimiterMetrics {
  return {
    decision(decision) {
      one.decision?.(decision);
      other.decision?.(decision);
    },
    nearLimit(policy) {
      one.nearLimit?.(policy);
      other.nearLimit?.(policy);
    },
    batch(batch) {
      one.batch?.(batch);
      other.batch?.(batch);
    },
    cacheHit(kind) {
      one.cacheHit?.(kind);
      other.cacheHit?.(kind);
    },
    fallback(policy, answer, cause) {
      one.fallback?.(policy, answer, cause);
      other.fallback?.(policy, answer, cause);
    },
    dropped(count) {
      one.dropped?.(count);
      other.dropped?.(count);
    },
  };
}
