import type { RedisClient } from '@spillway/redis';
import { type DenyCache, denyCache } from './deny-cache/deny-cache.ts';
import { checkMembers, LimiterInputError, shown } from './errors.ts';
import { leases } from './leases/leases.ts';
import { type Bus, redisBus } from './live/bus.ts';
import { checkLiveOptions, liveOver } from './live/live-over.ts';
import { DEFAULT_LIVE_KEY, type LiveOptions, type LivePolicies } from './live/live-policies.ts';
import { memoryLiveSource } from './live/memory-source.ts';
import { redisLiveSource } from './live/redis-source.ts';
import type { LimiterMetrics } from './metrics/metrics.ts';
import { wholeNumberWithin } from './policy/policy.ts';
import { redisStore } from './store/redis/redis-store.ts';
import type { LimiterStore } from './store/store.ts';
import type { Policy } from './types.ts';

/** What a limiter's store is built of. */
export interface StackOptions {
  readonly redis?: RedisClient;
  readonly store?: LimiterStore;
  readonly policies: ReadonlyMap<string, Policy>;
  readonly deadlineMs: number;
  readonly outboxCap: number;
  readonly metrics: Required<LimiterMetrics> | undefined;
  readonly live: boolean | LiveOptions | undefined;
  readonly denyCache: boolean | { readonly maxEntries: number } | undefined;
}

/** A limiter's store, with the live policies and the cache of blocks if it has any. */
export interface StoreStack {
  readonly store: LimiterStore;
  readonly live: LivePolicies | undefined;
  readonly denyCache: DenyCache | undefined;
}

const DENY_ENTRIES = 10_000;
const LIVE_DEADLINE_MS = 1_000;

/** Builds the stack. All parts share one subscription. @throws {LimiterInputError} naming the option and its value. */
export function storeStack({ redis, store, ...options }: StackOptions): StoreStack {
  if (store !== undefined && redis !== undefined) {
    throw new LimiterInputError('store', 'must be left out with redis: windows are kept in one of the two');
  }
  const liveOptions = liveSetting(options.live);
  const maxEntries = denyEntries(options.denyCache);
  if (store !== undefined) {
    const source = liveOptions && memoryLiveSource();
    const live = source && liveOver({ source, policies: options.policies, ...liveOptions });
    return { store: leases(store, { onHit: leaseHits(options.metrics) }), live, denyCache: undefined };
  }
  if (redis === undefined) throw new LimiterInputError('redis', 'must be a Redis client');
  return redisStack(redis, options, liveOptions, maxEntries);
}

function redisStack(
  client: RedisClient,
  { policies, deadlineMs, outboxCap, metrics }: Omit<StackOptions, 'live' | 'denyCache'>,
  liveOptions: LiveOptions | undefined,
  maxEntries: number,
): StoreStack {
  const { key = DEFAULT_LIVE_KEY, deadlineMs: liveDeadlineMs = LIVE_DEADLINE_MS } = liveOptions ?? {};
  const bus = redisBus(client, key);
  const cache = maxEntries > 0 ? denyCache({ bus, maxEntries }) : undefined;
  const windows = redisStore({
    client,
    deadlineMs,
    outboxCap,
    metrics,
    onRefusedWhileBlocked: cache?.remember,
    knownBlock: cache?.known,
  });
  const leasing = leases(windows, { bus, onHit: leaseHits(metrics) });
  const store = closingBus(cache?.around(leasing) ?? leasing, bus);
  if (liveOptions === undefined) return { store, live: undefined, denyCache: cache };
  const source = redisLiveSource(client, bus, key, liveDeadlineMs);
  return { store, live: liveOver({ source, policies, ...liveOptions }), denyCache: cache };
}

function leaseHits(metrics: StackOptions['metrics']): () => void {
  return () => metrics?.cacheHit('lease');
}

function closingBus(store: LimiterStore, bus: Bus): LimiterStore {
  return {
    ...store,
    async close() {
      bus.close();
      await store.close();
    },
  };
}

function denyEntries(setting: StackOptions['denyCache'] = true): number {
  if (typeof setting === 'boolean') return setting ? DENY_ENTRIES : 0;
  if (typeof setting !== 'object' || setting === null) {
    throw new LimiterInputError('denyCache', `must be true, false or { maxEntries }, not ${shown(setting)}`);
  }
  checkMembers('denyCache', setting, ['maxEntries']);
  return wholeNumberWithin('denyCache.maxEntries', setting.maxEntries, 1, 1_000_000);
}

function liveSetting(live: unknown): LiveOptions | undefined {
  if (live === undefined || live === false) return undefined;
  if (live === true) return {};
  if (typeof live === 'object' && live !== null) return checkLiveOptions(live);
  throw new LimiterInputError('live', `must be true, false or options, not ${shown(live)}`);
}
