export {
  hotPathClusterOptions,
  hotPathOptions,
  nodeRedisClusterOptions,
  nodeRedisOptions,
  openHotPath,
  RedisFault,
} from '@spillway/redis';
export type {
  HotPathClient,
  NodeRedisClient,
  RecoveredOutage,
  RedisClient,
  RedisClientOrUrl,
  RedisFaultCode,
} from '@spillway/redis';
export { capacityOf } from './algorithms/algorithm.ts';
export { AUTO_LOG_LIMIT, policyAlgorithms } from './algorithms/registry.ts';
export { parseBlockEvent, parseDecisionCountsEvent, parseNearLimitEvent } from './events/outbox-events.ts';
export type { BlockEvent, DecisionCountsEvent, NearLimitEvent } from './events/outbox-events.ts';
export type { RecordDecisionsOptions } from './events/decision-counts.ts';
export {
  LimiterClosedError,
  LimiterInputError,
  LimiterUnavailableError,
  LimiterWaitError,
  LiveConflictError,
} from './errors.ts';
export { createLimiter } from './limiter/create-limiter.ts';
export type { LimiterOptions, LimiterSettings } from './limiter/create-limiter.ts';
export type { ActionOption, ChangeOptions, Limiter } from './limiter/limiter.ts';
export { checkListEntry, checkOverride, checkPlan, LiveEntryError } from './live/entries.ts';
export type { AppliedFile, BlockedSubject, LiveEntries, Override, Plan, StoredPreset } from './live/entries.ts';
export type { Listing } from './decision.ts';
export { livePolicies } from './live/live-over.ts';
export { entriesFor, type SubjectEntries } from './live/table.ts';
export type { LivePoliciesOptions } from './live/live-over.ts';
export { policyFor } from './live/live-policies.ts';
export type { LiveOptions, LivePolicies, PolicySource } from './live/live-policies.ts';
export type { CacheKind, LimiterMetrics } from './metrics.ts';
export type { NearLimitCrossing } from './events/watch.ts';
export { MAX_LIMIT, MAX_LOG_LIMIT, MAX_WINDOW_MS } from './algorithms/algorithm.ts';
export { auth, definePolicy, generation, MAX_BLOCK_MS, standard, strict, tiers } from './policy.ts';
export type { PolicyOptions } from './policy.ts';
export { memoryStore } from './store/memory-store.ts';
export type { MemoryStoreOptions } from './store/memory-store.ts';
export type { LimiterStore, StoreRequest, StoreWindow } from './store/store.ts';
export type { Held } from './limiter/waiting.ts';
export type { QuotaPeriod } from './algorithms/quota/quota.ts';
export type { Lease, OnUnavailable, PolicyMode } from './algorithms/algorithm.ts';
export type { Algorithm, AlgorithmRule, Policy } from './algorithms/registry.ts';
export type {
  BlockedEverywhere,
  BlockEverywhereOptions,
  BlockOptions,
  ByHand,
  CombinedDecision,
  CombinedRequest,
  ConsumeOptions,
  Decision,
  DecisionReason,
  LiveChange,
  LiveChangeOptions,
  WaitOptions,
} from './types.ts';
export { DEFAULT_ACTION } from './store/store.ts';
