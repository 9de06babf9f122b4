import { DEFAULT_SHARDS, type FaultListeners, MAX_SHARDS, type RedisClientOrUrl } from '@spillway/redis';
import type { Policy } from '../algorithms/registry.ts';
import { type Backend, backendOf, checkNamespace } from '../backend.ts';
import { readActor, wholeNumberWithin } from '../checks.ts';
import { requestReader } from '../decide/1-request.ts';
import { decider } from '../decide/2-local.ts';
import { limiterScripts } from '../decide/scripts.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import { countingMetrics, type RecordDecisionsOptions } from '../events/decision-counts.ts';
import { type NearLimitCrossing, nearLimitNotice, watchDecisions } from '../events/watch.ts';
import type { LiveOptions, LivePolicies } from '../live/live-policies.ts';
import { type LimiterMetrics, catchErrors, safeMetrics } from '../metrics.ts';
import { policiesByName, type PolicyOptions } from '../policy.ts';
import { type LimiterStore, windowKeys } from '../store/store.ts';
import { compose } from './compose.ts';
import type { Limiter } from './limiter.ts';
import { limiterFrom } from './operations.ts';

/** Options of {@link createLimiter} besides the place of the windows. */
export interface LimiterSettings<Policies extends readonly PolicyOptions[]> extends FaultListeners {
  /** Policies made by `definePolicy`, or its options: each is checked and completed here. */
  readonly policies: Policies;
  /**
   * Every decision returns within this many ms, even if Redis is down or hung; with `redis` only. @default 100
   */
  readonly deadlineMs?: number;
  /**
   * Hash-tag shards, 1 to 4,096; the same in every process: `onError` is called if another process has another number.
   * Changing it discards the running windows. @default 16
   */
  readonly shards?: number;
  /**
   * Separates deployments that share one Redis: it is in every key and every channel, 1 to 64 of a-z, 0-9, `_` and `-`; with
   * `redis` only. The same for limiters, breakers, worker, API and CLI that belong together. @default none
   */
  readonly namespace?: string;
  /**
   * Whether blocks and other events are written for the audit trail. `false` if no worker runs: then no event is kept in
   * Redis; with `redis` only. @default true
   */
  readonly trail?: boolean;
  /** Most audit events that may wait in one shard's outbox; more are counted as dropped; with `redis` only. @default 100000 */
  readonly outboxCap?: number;
  /**
   * Author, in the trail, of manual changes through this limiter, unless the call names one: 1 to 200 characters. @default
   * the program and its host, `app:server.js@web-3`
   */
  readonly actor?: string;
  /** Callbacks for metrics; see the subpaths `/prometheus` and `/opentelemetry`. @default none */
  readonly metrics?: LimiterMetrics;
  /** Called once per window when a subject reaches a policy's `nearLimit`, as this process sees it. @default none */
  readonly onNearLimit?: (crossing: NearLimitCrossing) => void;
  /**
   * Enables `limiter.live`: policies, overrides and lists that can be changed at run time. With `redis` it takes a second
   * connection, a duplicate of the client, to receive changes. @default false
   */
  readonly live?: boolean | LiveOptions;
  /**
   * Whether this process' decisions are counted by policy and outcome, for dashboards: the sums go through the audit
   * trail into `spillway.decision_counts`, by policy, outcome and minute. It costs what `metrics` cost. Needs `redis`. @default false
   */
  readonly recordDecisions?: boolean | RecordDecisionsOptions;
  /**
   * Refuses blocked subjects in this process, without Redis; with `redis` only. The first block opens a second connection,
   * a duplicate of the client, to learn of blocks that end early. `maxEntries`: 1 to 1,000,000. At most 32 MiB. @default 100,000 blocks
   */
  readonly denyCache?: boolean | { readonly maxEntries: number };
}

/**
 * Where windows are kept: in Redis or in a custom store. `redis`: a client, which `close()` leaves open, or a URL
 * (`redis://`, `rediss://`, `redis-cluster://`, `redis-sentinel://`), whose connection ioredis makes, with
 * `hotPathOptions`, and `close()` ends. A client is `Redis` or `Cluster` of ioredis 5 or 6 or of iovalkey, best with
 * `hotPathOptions`; or of node-redis 5 or 6 (client, Cluster, Sentinel), best with `nodeRedisOptions`.
 */
export type LimiterOptions<Policies extends readonly PolicyOptions[]> = LimiterSettings<Policies> &
  ({ readonly redis: RedisClientOrUrl } | { readonly store: LimiterStore });

/**
 * Makes a limiter.
 * @example
 * ```ts
 * const limiter = createLimiter({ redis: 'redis://localhost:6379', policies: tiers });
 * const { allowed, retryAfterMs } = await limiter.consume('generation', userId, { action: 'generate-content' });
 * ```
 * @throws {LimiterInputError} naming the option and its value.
 */
export function createLimiter<const Policies extends readonly PolicyOptions[]>(
  options: LimiterOptions<Policies> & { readonly live: true | LiveOptions },
): Limiter<Policies[number]['name']> & { readonly live: LivePolicies };
export function createLimiter<const Policies extends readonly PolicyOptions[]>(
  options: LimiterOptions<Policies>,
): Limiter<Policies[number]['name']>;
export function createLimiter<const Policies extends readonly PolicyOptions[]>(
  options: LimiterOptions<Policies>,
): Limiter<Policies[number]['name']> {
  checkMembers('options', options, OPTIONS);
  const { deadlineMs = 100, shards = DEFAULT_SHARDS, namespace = '' } = options;
  wholeNumberWithin('deadlineMs', deadlineMs, 1, 60_000);
  wholeNumberWithin('shards', shards, 1, MAX_SHARDS);
  checkNamespace(namespace);
  const outboxCap = trailCap(options);
  const policies = policiesByName(options.policies);
  const actor = readActor(options.actor);
  const backend = backendOf({ ...options });
  try {
    return limiterOn(backend, options, { policies, deadlineMs, shards, namespace, outboxCap, actor });
  } catch (error) {
    // A connection that was made of a URL must not outlive a bad option.
    if (backend.kind === 'redis') backend.release();
    throw error;
  }
}

/** Most events that may wait in a shard's outbox; 0 without a trail. @throws {LimiterInputError} */
function trailCap({ trail = true, ...options }: Pick<LimiterSettings<[]>, 'trail' | 'outboxCap'>): number {
  if (typeof trail !== 'boolean') throw new LimiterInputError('trail', `must be true or false, not ${shown(trail)}`);
  const { outboxCap = 100_000 } = options;
  if (trail) return wholeNumberWithin('outboxCap', outboxCap, 1, 100_000_000);
  if (options.outboxCap !== undefined) throw new LimiterInputError('outboxCap', 'has no effect with trail: false');
  return 0;
}

interface Checked {
  readonly policies: ReadonlyMap<string, Policy>;
  readonly deadlineMs: number;
  readonly shards: number;
  readonly namespace: string;
  readonly outboxCap: number;
  readonly actor: string;
}

function limiterOn(
  backend: Backend,
  options: LimiterSettings<readonly PolicyOptions[]>,
  { policies, deadlineMs, shards, namespace, outboxCap, actor }: Checked,
): Limiter {
  const { metrics, counter } = countingMetrics({
    setting: options.recordDecisions,
    client: backend.kind === 'redis' ? backend.client : undefined,
    script: limiterScripts.decisionCounts,
    shards,
    namespace,
    outboxCap,
    metrics: options.metrics === undefined ? undefined : safeMetrics(options.metrics),
  });
  const onNearLimit = checkedListener(options.onNearLimit);
  const parts = compose({
    backend,
    live: options.live,
    denyCache: options.denyCache,
    policies,
    deadlineMs,
    outboxCap,
    shards,
    namespace,
    actor,
    metrics,
  });
  const { live, firstRead } = parts;
  const watch = watchDecisions({ metrics, notice: nearLimitNotice({ store: parts.store, onNearLimit }) });
  const requests = requestReader(policies, windowKeys(shards, namespace), live);
  const deciding = decider({ ...parts, watch, metrics });
  return limiterFrom({ decider: deciding, policies, requests, live, firstRead, actor, counter });
}

function checkedListener<Event>(listener: ((event: Event) => void) | undefined): typeof listener {
  if (listener === undefined) return undefined;
  if (typeof listener !== 'function') {
    throw new LimiterInputError('onNearLimit', `must be a function, not ${shown(listener)}`);
  }
  return catchErrors('onNearLimit')(listener);
}

const OPTIONS = [
  'redis',
  'store',
  'policies',
  'deadlineMs',
  'shards',
  'outboxCap',
  'namespace',
  'trail',
  'metrics',
  'onNearLimit',
  'actor',
  'live',
  'recordDecisions',
  'denyCache',
  'onError',
  'onRecovered',
];
