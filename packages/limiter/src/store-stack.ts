import type { RedisClient } from '@spillway/redis';
import { LimiterInputError, shown } from './errors.ts';
import { redisBus } from './live/bus.ts';
import { checkLiveOptions, liveOver } from './live/live-over.ts';
import { DEFAULT_LIVE_KEY, type LiveOptions, type LivePolicies } from './live/live-policies.ts';
import { memoryLiveSource } from './live/memory-source.ts';
import { redisLiveSource } from './live/redis-source.ts';
import type { LimiterMetrics } from './metrics/metrics.ts';
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
}

/** A limiter's store, and the live policies if it has any. */
export interface StoreStack {
  readonly store: LimiterStore;
  readonly live: LivePolicies | undefined;
}

const LIVE_DEADLINE_MS = 1_000;

/** Builds the stack. All parts share one subscription. @throws {LimiterInputError} naming the option and its value. */
export function storeStack({ redis, store, live, ...options }: StackOptions): StoreStack {
  const liveOptions = liveSetting(live);
  if (store !== undefined) {
    const source = liveOptions && memoryLiveSource();
    return { store, live: source && liveOver({ source, policies: options.policies, ...liveOptions }) };
  }
  if (redis === undefined) throw new LimiterInputError('redis', 'must be a Redis client');
  return redisStack(redis, options, liveOptions);
}

function redisStack(
  client: RedisClient,
  { policies, deadlineMs, outboxCap, metrics }: Omit<StackOptions, 'live'>,
  liveOptions: LiveOptions | undefined,
): StoreStack {
  const store = redisStore({ client, deadlineMs, outboxCap, metrics });
  if (liveOptions === undefined) return { store, live: undefined };
  const { key = DEFAULT_LIVE_KEY } = liveOptions;
  const source = redisLiveSource(client, redisBus(client, key), key, liveOptions.deadlineMs ?? LIVE_DEADLINE_MS);
  return { store, live: liveOver({ source, policies, ...liveOptions }) };
}

function liveSetting(live: unknown): LiveOptions | undefined {
  if (live === undefined || live === false) return undefined;
  if (live === true) return {};
  if (typeof live === 'object' && live !== null) return checkLiveOptions(live);
  throw new LimiterInputError('live', `must be true, false or options, not ${shown(live)}`);
}
