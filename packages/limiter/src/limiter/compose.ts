import { watchShards } from '@spillway/redis';
import type { Backend } from '../backend.ts';
import { type DenyCache, denyCache } from '../deny-cache/deny-cache.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import { leases } from '../leases/leases.ts';
import { redisBus } from '../live/bus.ts';
import { checkLiveOptions, liveOver } from '../live/live-over.ts';
import type { LiveOptions, LivePolicies } from '../live/live-policies.ts';
import { liveKeyIn, redisLiveSource, memoryLiveSource } from '../live/sources.ts';
import type { LimiterMetrics } from '../metrics/metrics.ts';
import { redisStore } from '../decide/3-redis-store.ts';
import type { LimiterStore } from '../store/store.ts';
import { wholeNumberWithin } from '../checks.ts';
import type { Policy } from '../algorithms/registry.ts';

/** What a limiter's store is built of. */
export interface StackOptions {
  readonly backend: Backend;
  readonly policies: ReadonlyMap<string, Policy>;
  readonly deadlineMs: number;
  readonly outboxCap: number;
  readonly shards: number;
  readonly namespace: string;
  /** Who makes the changes that name nobody. */
  readonly actor: string;
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

const DENY_ENTRIES = 100_000;
const LIVE_DEADLINE_MS = 1_000;

const UNHEARD =
  'Changes and blocks by hand are not heard at once, and blocks are not remembered in this process: allow the channels &spillway:*';

const DISAGREED = 'One subject has two windows, each with the whole limit';

/** Builds the stack. All parts share one subscription. @throws {LimiterInputError} naming the option and its value. */
export function storeStack({ backend, ...options }: StackOptions): StoreStack {
  const liveOptions = liveSetting(options.live);
  const maxEntries = denyEntries(options.denyCache);
  if (backend.kind === 'store') {
    const source = liveOptions && memoryLiveSource();
    const live = source && liveOver({ source, policies: options.policies, actor: options.actor, ...liveOptions });
    return { store: leases(backend.store, { onHit: leaseHits(options.metrics) }), live, denyCache: undefined };
  }
  return redisStack(backend, options, liveOptions, maxEntries);
}

function redisStack(
  { client, faults, release }: Extract<Backend, { kind: 'redis' }>,
  {
    policies,
    deadlineMs,
    outboxCap,
    shards,
    namespace,
    actor,
    metrics,
  }: Omit<StackOptions, 'backend' | 'live' | 'denyCache'>,
  liveOptions: LiveOptions | undefined,
  maxEntries: number,
): StoreStack {
  const onRefused = (error: unknown): void => faults.note(error, UNHEARD);
  const bus = redisBus({ client, namespace, liveKey: liveKeyIn(namespace), onRefused });
  const endWatch = watchShards({ client, shards, namespace, onDisagreement: (fault) => faults.note(fault, DISAGREED) });
  const cache = maxEntries > 0 ? denyCache({ bus, maxEntries }) : undefined;
  const windows = redisStore({
    client,
    deadlineMs,
    outboxCap,
    namespace,
    metrics,
    faults,
    onRefusedWhileBlocked: cache?.remember,
    knownBlock: cache?.known,
  });
  const leasing = leases(windows, { bus, onHit: leaseHits(metrics) });
  const endAll = (): void => {
    bus.close();
    endWatch();
  };
  const store = closing(cache?.around(leasing) ?? leasing, endAll, release);
  if (liveOptions === undefined) return { store, live: undefined, denyCache: cache };
  const { deadlineMs: changeMs = LIVE_DEADLINE_MS } = liveOptions;
  const source = redisLiveSource({ client, bus, namespace, deadlineMs: changeMs, outboxCap, listens: true });
  return { store, live: liveOver({ source, policies, actor, ...liveOptions }), denyCache: cache };
}

function leaseHits(metrics: StackOptions['metrics']): () => void {
  return () => metrics?.cacheHit('lease');
}

function closing(store: LimiterStore, before: () => void, after: () => void): LimiterStore {
  return {
    ...store,
    async close() {
      before();
      await store.close().finally(after);
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
