import {
  DEFAULT_SHARDS,
  type FaultListeners,
  faultReporter,
  type HotPathClient,
  MAX_SHARDS,
  namespaceProblem,
  outageReporter,
  readRedisOption,
  type RedisClientOrUrl,
} from '@spillway/redis';
import { BreakerInputError, checkObject, shown, wholeNumberWithin } from '../errors.ts';
import type { BuiltInName, PresetOptions } from '../presets/preset.ts';
import { redisStore } from '../store/redis-store.ts';
import { type BreakerStore, checkStore } from '../store/store.ts';
import type { Callable } from '../timeout/call.ts';
import { breakersFrom, noOutage, type OutageCounter } from './breaker-set.ts';
import type { Breakers, FallbackOptions, RunOptions } from './breaker.ts';
import { type BreakerSetOptions, readSetOptions, setOptionNames } from './set-options.ts';

/** Options of {@link createBreakers} besides the place of the fleet's state. */
export interface BreakersSettings<Presets extends readonly PresetOptions[]>
  extends BreakerSetOptions<Presets>, FaultListeners {
  /**
   * Longest wait for Redis of a process' first call of a breaker, of a call that needs a probe, and of a manual change, 1 to
   * 60,000 ms. @default 100
   */
  readonly deadlineMs?: number;
  /** Hash-tag shards, 1 to 4,096; the same in every process: `onError` is called if another process has another number. @default 16 */
  readonly shards?: number;
  /**
   * Separates deployments that share one Redis: it is in every key and every channel, 1 to 64 of a-z, 0-9, `_` and `-`; with
   * `redis` only. The same for limiters, breakers, worker, API and CLI that belong together. @default none
   */
  readonly namespace?: string;
  /**
   * Whether events are written for the audit trail. `false` if no worker runs: then no event is kept in Redis; with `redis`
   * only. @default true
   */
  readonly trail?: boolean;
  /** Most audit events that may wait in one shard's outbox; more are counted as dropped. @default 100_000 */
  readonly outboxCap?: number;
}

const OPTIONS = [
  'redis',
  'store',
  ...setOptionNames,
  'deadlineMs',
  'shards',
  'outboxCap',
  'namespace',
  'trail',
  'onError',
  'onRecovered',
];

/**
 * Where the state is kept: in Redis or in a custom store. `redis`: a client, which `close()` leaves open, or a URL
 * (`redis://`, `rediss://`, `redis-cluster://`, `redis-sentinel://`), whose connection ioredis makes, with
 * `hotPathOptions`, and `close()` ends. A client is `Redis` or `Cluster` of ioredis 5 or 6 or of iovalkey, best with
 * `hotPathOptions`; or of node-redis 5 or 6 (client, Cluster, Sentinel), best with `nodeRedisOptions`.
 */
export type BreakersOptions<Presets extends readonly PresetOptions[]> = BreakersSettings<Presets> &
  ({ readonly redis: RedisClientOrUrl } | { readonly store: BreakerStore });

/**
 * Makes the breakers of a process. They share their state with all processes on the same Redis.
 * @example
 * ```ts
 * const breakers = createBreakers({ redis: 'redis://localhost:6379' });
 * const answer = await breakers.run('runware', 'ai_provider', (signal) => fetch(url, { signal }));
 * ```
 * @throws {BreakerInputError} naming the option and its value.
 */
export function createBreakers<const Presets extends readonly PresetOptions[] = readonly []>(
  options: BreakersOptions<Presets>,
): Breakers<BuiltInName | Presets[number]['name']> {
  checkObject('options', options, OPTIONS);
  const { deadlineMs = 100, shards = DEFAULT_SHARDS, namespace = '' } = options;
  wholeNumberWithin('deadlineMs', deadlineMs, 1, 60_000);
  wholeNumberWithin('shards', shards, 1, MAX_SHARDS);
  const outboxCap = trailCap(options);
  const problem = namespaceProblem(namespace);
  if (problem !== undefined) throw new BreakerInputError('namespace', problem);
  const common = readSetOptions(options);
  const backend = backendOf({ ...options });
  if ('store' in backend) return breakersFrom({ ...common, store: backend.store, outageOf: noOutage });
  const { client, release } = backend;
  const { onError, onRecovered } = options;
  const faults = faultReporter({ who: 'Spillway breakers', meanwhile: MEANWHILE, onError, onRecovered });
  const store = redisStore({ client, deadlineMs, shards, namespace, outboxCap, faults });
  const outageOf = (instance: string): OutageCounter =>
    outageReporter({ client, kind: 'breaker_outage', instance, outboxCap, namespace });
  // A connection that was made here ends with the breakers.
  const closing: BreakerStore = { ...store, close: () => store.close().finally(release) };
  return breakersFrom({ ...common, store: closing, outageOf });
}

/** Most events that may wait in a shard's outbox; 0 without a trail. @throws {BreakerInputError} */
function trailCap({ trail = true, ...options }: Pick<BreakersSettings<[]>, 'trail' | 'outboxCap'>): number {
  if (typeof trail !== 'boolean') throw new BreakerInputError('trail', `must be true or false, not ${shown(trail)}`);
  const { outboxCap = 100_000 } = options;
  wholeNumberWithin('outboxCap', outboxCap, 1, 100_000_000);
  if (trail) return outboxCap;
  if (options.outboxCap !== undefined) throw new BreakerInputError('outboxCap', 'has no effect with trail: false');
  return 0;
}

const MEANWHILE = 'Each process uses its local breakers until Redis answers again';

/** Options that say how Redis is asked. */
const OF_REDIS = ['deadlineMs', 'shards', 'outboxCap', 'namespace', 'trail', 'onError', 'onRecovered'] as const;

interface BackendOptions extends FaultListeners {
  readonly redis?: unknown;
  readonly store?: unknown;
  readonly deadlineMs?: unknown;
  readonly shards?: unknown;
  readonly outboxCap?: unknown;
  readonly namespace?: unknown;
  readonly trail?: unknown;
}

type Backend = { readonly store: BreakerStore } | { readonly client: HotPathClient; readonly release: () => void };

/** Where the state is kept. @throws {BreakerInputError} for nowhere, for both, and for an option without effect. */
function backendOf(options: BackendOptions): Backend {
  const { redis, store, onError, onRecovered } = options;
  if (store !== undefined) {
    if (redis !== undefined) throw new BreakerInputError('store', 'cannot be used together with redis');
    const useless = OF_REDIS.find((name) => options[name] !== undefined);
    if (useless !== undefined) throw new BreakerInputError(useless, 'has no effect with store: it configures redis');
    checkStore(store);
    return { store };
  }
  for (const [name, listener] of Object.entries({ onError, onRecovered })) {
    if (listener !== undefined && typeof listener !== 'function')
      throw new BreakerInputError(name, `must be a function, not ${shown(listener)}`);
  }
  const option = readRedisOption(redis);
  if (typeof option === 'string') throw new BreakerInputError('redis', option);
  return option;
}

/** `withCircuitBreaker` was called before `configureCircuitBreakers`. */
export class BreakersNotConfiguredError extends Error {
  readonly code = 'breakers_not_configured';
  override readonly name = 'BreakersNotConfiguredError';

  constructor() {
    super(
      'withCircuitBreaker has no breakers yet: call configureCircuitBreakers(createBreakers({ redis })) once, before the ' +
        'first call',
    );
  }
}

/** A database client, as libraries that keep a breaker's state in tables take it with each call. */
export interface DatabaseClient {
  from(table: string): unknown;
}

let configured: Breakers | undefined;

/** Sets the breakers of {@link withCircuitBreaker}, once, at start. @throws {BreakerInputError} unless they are breakers. */
export function configureCircuitBreakers(breakers: Breakers): void {
  if (typeof breakers?.run !== 'function') {
    throw new BreakerInputError('breakers', `must be what createBreakers makes, not ${shown(breakers)}`);
  }
  configured = breakers;
}

/**
 * Calls `fn` through a breaker of the default set.
 * @example
 * ```ts
 * configureCircuitBreakers(createBreakers({ redis })); // once, at start
 * const result = await withCircuitBreaker('runware', 'ai_provider', async () => fetch(url, options));
 * ```
 * @param options a database client is taken in their place and left alone: the state is in Redis
 * @throws what {@link Breakers.run} does, and {@link BreakersNotConfiguredError}, through the promise.
 */
export function withCircuitBreaker<T>(
  name: string,
  preset: string,
  fn: Callable<T>,
  options?: RunOptions | DatabaseClient,
): Promise<T>;
export function withCircuitBreaker<T, F>(
  name: string,
  preset: string,
  fn: Callable<T>,
  options: FallbackOptions<F>,
): Promise<T | F>;
export async function withCircuitBreaker<T>(
  name: string,
  preset: string,
  fn: Callable<T>,
  options?: RunOptions | DatabaseClient,
): Promise<T> {
  if (configured === undefined) throw new BreakersNotConfiguredError();
  const isObject = (typeof options === 'object' && options !== null) || typeof options === 'function';
  const isClient = isObject && 'from' in options;
  return configured.run(name, preset, fn, isClient ? undefined : options);
}
