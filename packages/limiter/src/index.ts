export { MalformedBlockEventError, parseBlockEvent } from './block-event.ts';
export type { BlockEvent } from './block-event.ts';
export { LimiterClosedError, LimiterInputError, LimiterUnavailableError } from './errors.ts';
export { createLimiter, DEFAULT_ACTION } from './limiter.ts';
export type { Limiter, LimiterOptions, LimiterSettings } from './limiter.ts';
export type { CacheKind, LimiterMetrics } from './metrics/metrics.ts';
export { MalformedNearLimitEventError, parseNearLimitEvent } from './near-limit/near-limit-event.ts';
export type { NearLimitEvent } from './near-limit/near-limit-event.ts';
export type { NearLimitCrossing } from './near-limit/near-limit-notice.ts';
export { definePolicy, MAX_BLOCK_MS, MAX_LIMIT, MAX_WINDOW_MS } from './policy/policy.ts';
export type { PolicyOptions } from './policy/policy.ts';
export { auth, generation, standard, strict, tiers } from './policy/tiers.ts';
export { memoryStore } from './store/memory-store.ts';
export type { MemoryStoreOptions } from './store/memory-store.ts';
export type { LimiterStore, StoreRequest } from './store/store.ts';
export type {
  BlockOptions,
  ConsumeOptions,
  Decision,
  DecisionReason,
  OnUnavailable,
  Policy,
  PolicyMode,
} from './types.ts';
