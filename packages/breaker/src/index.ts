export {
  hotPathClusterOptions,
  hotPathOptions,
  nodeRedisClusterOptions,
  nodeRedisOptions,
  openHotPath,
} from '@spillway/redis';
export type { HotPathClient, NodeRedisClient, RedisClient, RedisClientOrUrl } from '@spillway/redis';
export type {
  Breaker,
  Breakers,
  Fallback,
  FallbackOptions,
  ForcedChange,
  ManualChange,
  RunOptions,
} from './breakers/breaker.ts';
export {
  BreakersNotConfiguredError,
  configureCircuitBreakers,
  createBreakers,
  withCircuitBreaker,
} from './breakers/create-breakers.ts';
export type { BreakersOptions, BreakersSettings, DatabaseClient } from './breakers/create-breakers.ts';
export type { BreakerSnapshot } from './breakers/snapshots.ts';
export { BreakerInputError, CallTimeoutError, CircuitOpenError } from './errors.ts';
export type { Refusal, RefusingState } from './errors.ts';
export type { BreakerMetrics, StateName } from './metrics.ts';
export { createClassifier, defaultClassifier } from './outcome/classify.ts';
export type { ClassifierOptions } from './outcome/classify.ts';
export type { Classifier, Outcome } from './outcome/outcome.ts';
export { builtInPresets, definePreset } from './presets/preset.ts';
export type { Preset, PresetOptions } from './presets/preset.ts';
export { memoryStore } from './store/memory-store.ts';
export type { MemoryStoreOptions } from './store/memory-store.ts';
export { StoreUnavailableError } from './store/store.ts';
export type { BreakerStore } from './store/store.ts';
