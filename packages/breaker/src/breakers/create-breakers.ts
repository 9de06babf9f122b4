import { DEFAULT_SHARDS, type DuplicableClient, MAX_SHARDS, outageReporter, type RedisClient } from '@spillway/redis';
import { BreakerInputError, shown } from '../errors.ts';
import type { BreakerMetrics } from '../metrics/metrics.ts';
import { shieldedMetrics } from '../metrics/shielded-metrics.ts';
import { type BuiltInName, builtInPresets } from '../presets/built-in.ts';
import { checkObject, wholeNumberWithin } from '../checks.ts';
import { definePreset, MAX_TIME_MS, type Preset, type PresetOptions } from '../presets/preset.ts';
import { redisStore } from '../store/redis-store.ts';
import type { BreakerStore } from '../store/store.ts';
import type { Breakers } from './breakers.ts';
import { breakersOver, type OutageCounter } from './breakers-over.ts';

/** What {@link createBreakers} needs beside somewhere to keep the fleet's state. */
export interface BreakersSettings<Presets extends readonly PresetOptions[]> {
  /** Beside the built-in ones; one of the same name takes a built-in one's place. @default none */
  readonly presets?: Presets;
  /** Whoever has to ask Redis, for a probe or by hand, waits so long at most, 1 to 60,000 ms. @default 100 */
  readonly deadlineMs?: number;
  /** Hash-tag shards, 1 to 4,096; the same in every process. @default 16 */
  readonly shards?: number;
  /** Most audit events that may wait in one shard's outbox; more are counted as dropped. @default 100_000 */
  readonly outboxCap?: number;
  /** Callbacks that are told what happens; see the subpaths `/prometheus` and `/opentelemetry`. @default none */
  readonly metrics?: BreakerMetrics;
  /** Most breakers in this process; the idlest are let go, and what Redis knows of them stays. @default 10_000 */
  readonly maxBreakers?: number;
  /** A closed breaker without a call for so long, in ms, is let go. @default 600_000 */
  readonly idleMs?: number;
  /**
   * This process looks at breakers and moves them by hand, for others that make the calls: what its presets say never
   * replaces what the callers' say, whatever their version. @default false
   */
  readonly onlooker?: boolean;
}

const OPTIONS = [
  'redis',
  'store',
  'presets',
  'deadlineMs',
  'shards',
  'outboxCap',
  'metrics',
  'maxBreakers',
  'idleMs',
  'onlooker',
] as const;

/** The state in Redis (`redis`, an ioredis client with `hotPathOptions`) or in a store of your own making. */
export type BreakersOptions<Presets extends readonly PresetOptions[]> = BreakersSettings<Presets> &
  ({ readonly redis: RedisClient & DuplicableClient } | { readonly store: BreakerStore });

/**
 * Makes the breakers of a process. They share their state with all processes on the same Redis.
 * @example
 * ```ts
 * const breakers = createBreakers({ redis: new Redis(url, hotPathOptions) });
 * const answer = await breakers.run('runware', 'ai_provider', (signal) => fetch(url, { signal }));
 * ```
 * @throws {BreakerInputError} naming the option and its value.
 */
export function createBreakers<const Presets extends readonly PresetOptions[] = readonly []>(
  options: BreakersOptions<Presets>,
): Breakers<BuiltInName | Presets[number]['name']> {
  checkObject('options', options, OPTIONS);
  const { deadlineMs = 100, shards = DEFAULT_SHARDS, outboxCap = 100_000 } = options;
  const { maxBreakers = 10_000, idleMs = 600_000 } = options;
  wholeNumberWithin('deadlineMs', deadlineMs, 1, 60_000);
  wholeNumberWithin('shards', shards, 1, MAX_SHARDS);
  wholeNumberWithin('outboxCap', outboxCap, 1, 100_000_000);
  wholeNumberWithin('maxBreakers', maxBreakers, 1, 10_000_000);
  wholeNumberWithin('idleMs', idleMs, 1_000, MAX_TIME_MS);
  const presets = presetsOf(options.presets ?? [], options.onlooker ?? false);
  const metrics = options.metrics === undefined ? undefined : shieldedMetrics(options.metrics);
  const common = { presets, metrics, maxBreakers, idleMs };
  if ('store' in options) return breakersOver({ ...common, store: options.store, outageOf: () => noOutage });
  const client = options.redis;
  const store = redisStore({ client, deadlineMs, shards, outboxCap });
  const outageOf = (instance: string): OutageCounter =>
    outageReporter({ client, kind: 'breaker_outage', instance, outboxCap });
  return breakersOver({ ...common, store, outageOf });
}

const noOutage: OutageCounter = { count: () => undefined, close: async () => undefined };

/** Below every version that a caller's preset can have. */
const ONLOOKER_VERSION = 0;

function presetsOf(presets: readonly PresetOptions[], onlooker: boolean): readonly Preset[] {
  if (typeof onlooker !== 'boolean')
    throw new BreakerInputError('onlooker', `must be a boolean, not ${shown(onlooker)}`);
  const checked = completed(presets);
  return onlooker ? checked.map((preset) => ({ ...preset, version: ONLOOKER_VERSION })) : checked;
}

/** The built-in presets and the given ones, each checked and complete. */
function completed(presets: readonly PresetOptions[]): readonly Preset[] {
  if (!Array.isArray(presets)) throw new BreakerInputError('presets', `must be a list, not ${shown(presets)}`);
  const own = new Map<string, Preset>();
  for (const given of presets) {
    const preset = definePreset(given);
    if (own.has(preset.name)) throw new BreakerInputError('presets', `holds ${shown(preset.name)} twice`);
    own.set(preset.name, preset);
  }
  return [...builtInPresets.filter(({ name }) => !own.has(name)), ...own.values()];
}
