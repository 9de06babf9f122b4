import { requestReader } from '../decide/1-request.ts';
import { decider } from '../decide/2-local.ts';
import { checkMembers, LimiterInputError, shown } from '../errors.ts';
import { nearLimitNotice, watchDecisions } from '../events/watch.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { limiterFrom } from '../limiter/operations.ts';
import { type LimiterMetrics, safeMetrics } from '../metrics.ts';
import { policiesByName, type PolicyOptions } from '../policy.ts';
import { type LimiterStore, windowKeys } from '../store/store.ts';

/** What {@link createLimiter} of this subpath takes. */
export interface StoreLimiterOptions<Policies extends readonly PolicyOptions[]> {
  /** `httpStore({ url, key })`, or `memoryStore()`. */
  readonly store: LimiterStore;
  /** Policies of the API that this program uses, by their names. A `lease` needs Redis. */
  readonly policies: Policies;
  /** Callbacks for metrics. @default none */
  readonly metrics?: LimiterMetrics;
}

/**
 * Makes a limiter without Redis: for edge runtimes. Its bundle contains neither a Redis client nor a module of Node's.
 * @example
 * ```ts
 * const limiter = createLimiter({ store: httpStore({ url, key: limitsKey }), policies: tiers });
 * ```
 * @throws {LimiterInputError} naming the option and its value.
 */
export function createLimiter<const Policies extends readonly PolicyOptions[]>(
  options: StoreLimiterOptions<Policies>,
): Limiter<Policies[number]['name']>;
export function createLimiter(options: StoreLimiterOptions<readonly PolicyOptions[]>): Limiter {
  checkMembers('options', options, ['store', 'policies', 'metrics']);
  const { store } = options;
  if (typeof store?.consume !== 'function') {
    throw new LimiterInputError('store', `must be what httpStore or memoryStore makes, not ${shown(store)}`);
  }
  const policies = policiesByName(options.policies);
  for (const { name, lease } of policies.values()) {
    if (lease !== undefined)
      throw new LimiterInputError('policies', `holds ${shown(name)} with a lease, which needs Redis`);
  }
  const metrics = options.metrics === undefined ? undefined : safeMetrics(options.metrics);
  const watch = watchDecisions({ metrics, notice: nearLimitNotice({ store, onNearLimit: undefined }) });
  return limiterFrom({
    decider: decider({ store, live: undefined, denyCache: undefined, leases: undefined, watch, metrics }),
    policies,
    requests: requestReader(policies, windowKeys(1), undefined),
    live: undefined,
    // Over HTTP it is the owner of the key who changes.
    actor: 'http',
    counter: undefined,
  });
}

export { ApiFault } from '@spillway/redis/core';
export type { ApiFaultCode } from '@spillway/redis/core';
export { LimiterClosedError, LimiterInputError, LimiterUnavailableError, LimiterWaitError } from '../errors.ts';
export { auth, definePolicy, generation, standard, strict, tiers } from '../policy.ts';
export { memoryStore } from '../store/memory-store.ts';
export { httpStore } from './http-store.ts';
export type { HttpStoreOptions } from './http-store.ts';
