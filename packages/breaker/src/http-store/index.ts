import { breakersFrom, noOutage } from '../breakers/breaker-set.ts';
import type { Breakers } from '../breakers/breaker.ts';
import { type BreakerSetOptions, readSetOptions, setOptionNames } from '../breakers/set-options.ts';
import { checkObject } from '../checks.ts';
import { BreakerInputError, shown } from '../errors.ts';
import type { BuiltInName, PresetOptions } from '../presets/preset.ts';
import type { BreakerStore } from '../store/store.ts';

/** What {@link createBreakers} of this subpath takes. */
export interface StoreBreakersOptions<Presets extends readonly PresetOptions[]> extends BreakerSetOptions<Presets> {
  /** `httpStore({ url, key })`, or `memoryStore()`. */
  readonly store: BreakerStore;
}

/**
 * Makes breakers without Redis: for edge runtimes, whose bundles then hold neither a Redis client nor a module of Node's.
 * @example
 * ```ts
 * const breakers = createBreakers({ store: httpStore({ url, key: breakersKey }) });
 * ```
 * @throws {BreakerInputError} naming the option and its value.
 */
export function createBreakers<const Presets extends readonly PresetOptions[] = readonly []>(
  options: StoreBreakersOptions<Presets>,
): Breakers<BuiltInName | Presets[number]['name']> {
  checkObject('options', options, ['store', ...setOptionNames]);
  const { store } = options;
  if (typeof store?.execute !== 'function') {
    throw new BreakerInputError('store', `must be what httpStore or memoryStore makes, not ${shown(store)}`);
  }
  return breakersFrom({ ...readSetOptions(options), store, outageOf: noOutage });
}

export { ApiFault } from '@spillway/redis/core';
export type { ApiFaultCode } from '@spillway/redis/core';
export type {
  Breaker,
  Breakers,
  Fallback,
  FallbackOptions,
  ForcedChange,
  ManualChange,
  RunOptions,
} from '../breakers/breaker.ts';
export type { BreakerSnapshot } from '../breakers/snapshots.ts';
export { BreakerInputError, CallTimeoutError, CircuitOpenError } from '../errors.ts';
export { createClassifier, defaultClassifier } from '../outcome/classify.ts';
export { builtInPresets, definePreset } from '../presets/preset.ts';
export type { Preset, PresetOptions } from '../presets/preset.ts';
export { memoryStore } from '../store/memory-store.ts';
export { StoreUnavailableError } from '../store/store.ts';
export { httpStore } from './http-store.ts';
export type { HttpStoreOptions } from './http-store.ts';
