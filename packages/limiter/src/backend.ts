import {
  faultReporter,
  type FaultListeners,
  type FaultReporter,
  type HotPathClient,
  namespaceProblem,
  readRedisOption,
} from '@spillway/redis';
import { LimiterInputError, shown } from './errors.ts';
import type { LimiterStore } from './store/store.ts';

/** Where a limiter keeps its windows, as its options say. */
export interface BackendOptions extends FaultListeners {
  readonly redis?: unknown;
  readonly store?: LimiterStore | undefined;
  readonly deadlineMs?: unknown;
  readonly outboxCap?: unknown;
  readonly namespace?: unknown;
  readonly trail?: unknown;
  readonly denyCache?: unknown;
}

/** Where a limiter keeps its windows: in Redis, or in a store of its owner's. */
export type Backend =
  | { readonly kind: 'redis'; readonly client: HotPathClient; readonly faults: FaultReporter; release(): void }
  | { readonly kind: 'store'; readonly store: LimiterStore };

/** Options that say how Redis is asked. */
const OF_REDIS = ['deadlineMs', 'outboxCap', 'namespace', 'trail', 'denyCache', 'onError', 'onRecovered'] as const;

const MEANWHILE = 'Each policy answers by its onUnavailable until Redis is available again';

/** Reads where windows are kept. @throws {LimiterInputError} for none, for both, and for an option without effect. */
export function backendOf(options: BackendOptions): Backend {
  const { redis, store, onError, onRecovered } = options;
  if (store !== undefined) {
    if (redis !== undefined) throw new LimiterInputError('store', 'cannot be used together with redis');
    const useless = OF_REDIS.find((name) => options[name] !== undefined);
    if (useless !== undefined) throw new LimiterInputError(useless, 'has no effect with store: it configures redis');
    // A breakers' store, or none at all, would fail with the first decision.
    if (typeof store?.consume !== 'function') {
      throw new LimiterInputError('store', `must be what memoryStore or httpStore makes, not ${shown(store)}`);
    }
    return { kind: 'store', store };
  }
  for (const [name, listener] of Object.entries({ onError, onRecovered })) checkListener(name, listener);
  const { client, release } = redisOf(redis);
  const faults = faultReporter({ who: 'Spillway limiter', meanwhile: MEANWHILE, onError, onRecovered });
  return { kind: 'redis', client, faults, release };
}

/** Reads an option `redis`. @throws {LimiterInputError} */
export function redisOf(redis: unknown): { readonly client: HotPathClient; release(): void } {
  const option = readRedisOption(redis);
  if (typeof option === 'string') throw new LimiterInputError('redis', option);
  return option;
}

function checkListener(name: string, listener: unknown): void {
  if (listener === undefined || typeof listener === 'function') return;
  throw new LimiterInputError(name, `must be a function, not ${shown(listener)}`);
}

/** @throws {LimiterInputError} unless it can be part of keys and channels */
export function checkNamespace(namespace: unknown): void {
  const problem = namespaceProblem(namespace);
  if (problem !== undefined) throw new LimiterInputError('namespace', problem);
}
