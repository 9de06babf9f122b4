import { watchShards } from '@spillway/redis';
import type { Policy } from '../algorithms/registry.ts';
import type { Backend } from '../backend.ts';
import { wholeNumberWithin } from '../checks.ts';
import { redisStore } from '../decide/3-redis-store.ts';
import { type DenyCache, denyCache } from '../deny-cache/deny-cache.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import { type Leases, leases } from '../leases/leases.ts';
import { redisBus } from '../live/bus.ts';
import { checkLiveOptions, liveFrom } from '../live/live-over.ts';
import type { LiveOptions, LivePolicies } from '../live/live-policies.ts';
import { type FirstRead, firstRead } from '../live/first-read.ts';
import { liveKeyIn, type LiveSource, memoryLiveSource, redisLiveSource } from '../live/sources.ts';
import type { LimiterMetrics } from '../metrics.ts';
import type { LimiterStore } from '../store/store.ts';

/** What {@link compose} needs. */
export interface ComposeOptions {
  readonly backend: Backend;
  readonly policies: ReadonlyMap<string, Policy>;
  readonly deadlineMs: number;
  readonly outboxCap: number;
  readonly shards: number;
  readonly namespace: string;
  /** Actor of changes that name none. */
  readonly actor: string;
  readonly metrics: Required<LimiterMetrics> | undefined;
  readonly live: boolean | LiveOptions | undefined;
  readonly denyCache: boolean | { readonly maxEntries: number } | undefined;
}

/** A limiter's store, and what decides in this process in front of it. Closing the store ends what it shares with them. */
export interface Composed {
  readonly store: LimiterStore;
  readonly leases: Leases;
  readonly live: LivePolicies | undefined;
  /** What decisions wait for at first. */
  readonly firstRead: FirstRead | undefined;
  readonly denyCache: DenyCache | undefined;
}

const DENY_ENTRIES = 100_000;
const LIVE_DEADLINE_MS = 1_000;

const UNHEARD =
  'This process receives manual changes and blocks late, and caches no blocks: allow the channels &spillway:*';

const DISAGREED = 'One subject has two windows, each with the whole limit';

/** Puts them together. All parts share one subscription. @throws {LimiterInputError} naming the option and its value. */
export function compose({ backend, ...options }: ComposeOptions): Composed {
  const liveOptions = liveSetting(options.live);
  const maxEntries = denyEntries(options.denyCache);
  if (backend.kind === 'store') {
    const { store } = backend;
    const live = liveOn(liveOptions && memoryLiveSource(), options, liveOptions);
    return { store, leases: leases(store, { onHit: leaseHits(options.metrics) }), ...live, denyCache: undefined };
  }
  return onRedis(backend, options, liveOptions, maxEntries);
}

/** The live policies over a source, if there is one. */
function liveOn(
  source: LiveSource | undefined,
  { policies, actor, deadlineMs }: Pick<ComposeOptions, 'policies' | 'actor' | 'deadlineMs'>,
  liveOptions: LiveOptions | undefined,
): Pick<Composed, 'live' | 'firstRead'> {
  if (source === undefined) return { live: undefined, firstRead: undefined };
  const { firstRead: read, ...live } = liveFrom({ source, policies, actor, ...liveOptions });
  return { live, firstRead: firstRead(read, deadlineMs) };
}

function onRedis(
  { client, faults, release }: Extract<Backend, { kind: 'redis' }>,
  options: Omit<ComposeOptions, 'backend' | 'live' | 'denyCache'>,
  liveOptions: LiveOptions | undefined,
  maxEntries: number,
): Composed {
  const { deadlineMs, outboxCap, shards, namespace, metrics } = options;
  const onRefused = (error: unknown): void => faults.note(error, UNHEARD);
  const bus = redisBus({ client, namespace, liveKey: liveKeyIn(namespace), onRefused });
  const endWatch = watchShards({ client, shards, namespace, onDisagreement: (fault) => faults.note(fault, DISAGREED) });
  const cache = maxEntries > 0 ? denyCache({ bus, maxEntries }) : undefined;
  const { deadlineMs: changeMs = LIVE_DEADLINE_MS } = liveOptions ?? {};
  const source =
    liveOptions && redisLiveSource({ client, bus, namespace, deadlineMs: changeMs, outboxCap, listens: true });
  const live = liveOn(source, options, liveOptions);
  const windows = redisStore({
    client,
    deadlineMs,
    outboxCap,
    namespace,
    metrics,
    faults,
    onRefusedWhileBlocked: cache?.remember,
    knownBlock: cache?.known,
    startedAt: live.firstRead?.startedAt,
  });
  cache?.reportTo(windows);
  const endAll = (): void => {
    bus.close();
    endWatch();
  };
  return {
    store: closing(windows, endAll, release),
    leases: leases(windows, { bus, onHit: leaseHits(metrics) }),
    denyCache: cache,
    ...live,
  };
}

function leaseHits(metrics: ComposeOptions['metrics']): () => void {
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

function denyEntries(setting: ComposeOptions['denyCache'] = true): number {
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
