import { DEFAULT_SHARDS, MAX_SHARDS, type RedisClient } from '@spillway/redis';
import { LimiterClosedError, LimiterInputError, shown } from './errors.ts';
import { type LimiterMetrics, shieldedMetrics } from './metrics/metrics.ts';
import { shield } from './metrics/shield.ts';
import { watchDecisions } from './metrics/watch-decisions.ts';
import { type NearLimitCrossing, nearLimitNotice } from './near-limit/near-limit-notice.ts';
import { MAX_BLOCK_MS, wholeNumberWithin } from './policy/policy.ts';
import { checkAction, checkCost, checkSubject } from './request.ts';
import { redisStore } from './store/redis/redis-store.ts';
import type { LimiterStore, StoreRequest } from './store/store.ts';
import type { BlockOptions, ConsumeOptions, Decision, Policy } from './types.ts';
import { windowKeys } from './window-key.ts';

/** What {@link createLimiter} needs beside somewhere to keep windows. */
export interface LimiterSettings<Policies extends readonly Policy[]> {
  readonly policies: Policies;
  /**
   * Every decision is there after this many ms, whatever Redis does. @default 100
   */
  readonly deadlineMs?: number;
  /** Hash-tag shards, 1 to 4,096; the same in every process. Changing it forgets the running windows. @default 16 */
  readonly shards?: number;
  /** Most audit events that may wait in one shard's outbox; more are counted as dropped. @default 100000 */
  readonly outboxCap?: number;
  /** Callbacks that are told how decisions go; see the subpaths `/prometheus` and `/opentelemetry`. @default none */
  readonly metrics?: LimiterMetrics;
  /** Called once a window when a subject comes near a policy's `nearLimit`, in this process' view. @default none */
  readonly onNearLimit?: (crossing: NearLimitCrossing) => void;
}

/** Windows in Redis (`redis`, an ioredis client with `hotPathOptions`) or in a store of your own making. */
export type LimiterOptions<Policies extends readonly Policy[]> = LimiterSettings<Policies> &
  ({ readonly redis: RedisClient } | { readonly store: LimiterStore });

/** Decides who may pass. Bad input rejects with `LimiterInputError`. */
export interface Limiter<Name extends string = string> {
  readonly policies: ReadonlyMap<string, Policy>;
  /** Charges a request if it fits. A denial charges nothing and starts the policy's block, if it has one. */
  consume(policy: Name, subject: string, options?: ConsumeOptions): Promise<Decision>;
  /** What {@link consume} would answer; charges and blocks nothing. `remaining` is what is left now. */
  peek(policy: Name, subject: string, options?: ConsumeOptions): Promise<Decision>;
  /** Forgets what a subject used, and its block. @throws LimiterUnavailableError */
  reset(policy: Name, subject: string, options?: Pick<ConsumeOptions, 'action'>): Promise<void>;
  /** Refuses a subject from now on. @returns the end in ms since 1970, or `Infinity`. @throws LimiterUnavailableError */
  block(policy: Name, subject: string, options?: BlockOptions): Promise<number>;
  /** Lifts a block; what was used stays used. @returns whether there was one. @throws LimiterUnavailableError */
  unblock(policy: Name, subject: string, options?: Pick<ConsumeOptions, 'action'>): Promise<boolean>;
  /** Reports what is still to be reported. The Redis client stays open. */
  close(): Promise<void>;
}

/** The action of a request that names none. */
export const DEFAULT_ACTION = 'default';

/**
 * Makes a limiter.
 * @example
 * ```ts
 * const limiter = createLimiter({ redis: new Redis(url, hotPathOptions), policies: tiers });
 * const { allowed, retryAfterMs } = await limiter.consume('generation', userId, { action: 'generate-content' });
 * ```
 * @throws {LimiterInputError} naming the option and its value.
 */
export function createLimiter<const Policies extends readonly Policy[]>(
  options: LimiterOptions<Policies>,
): Limiter<Policies[number]['name']> {
  const { deadlineMs = 100, shards = DEFAULT_SHARDS, outboxCap = 100_000, onNearLimit } = options;
  wholeNumberWithin('deadlineMs', deadlineMs, 1, 60_000);
  wholeNumberWithin('shards', shards, 1, MAX_SHARDS);
  wholeNumberWithin('outboxCap', outboxCap, 1, 100_000_000);
  const policies = byName(options.policies);
  if (onNearLimit !== undefined && typeof onNearLimit !== 'function') {
    throw new LimiterInputError('onNearLimit', `must be a function, not ${shown(onNearLimit)}`);
  }
  const tellNearLimit = onNearLimit === undefined ? undefined : shield('onNearLimit')(onNearLimit);
  const metrics = options.metrics === undefined ? undefined : shieldedMetrics(options.metrics);
  const store =
    'store' in options ? options.store : redisStore({ client: options.redis, deadlineMs, outboxCap, metrics });
  const watch = watchDecisions({ metrics, notice: nearLimitNotice({ store, onNearLimit: tellNearLimit }) });
  const keyOf = windowKeys(shards);
  let closed = false;

  function find(name: string): Policy {
    if (closed) throw new LimiterClosedError();
    const policy = policies.get(name);
    if (policy !== undefined) return policy;
    throw new LimiterInputError('policy', `must be one of ${[...policies.keys()].join(', ')}, not ${shown(name)}`);
  }

  function locate(policy: Policy, subject: string, action: string = DEFAULT_ACTION): string {
    checkSubject(subject);
    if (action !== DEFAULT_ACTION) checkAction(action);
    return keyOf(policy.name, action, subject);
  }

  function toRequest(name: string, subject: string, { action, cost = 1 }: ConsumeOptions): StoreRequest {
    const policy = find(name);
    checkCost(cost, policy);
    return { policy, key: locate(policy, subject, action), cost };
  }

  // `async` on purpose: bad input must reject, never throw past a `.catch`.
  return {
    policies,
    consume: async (name, subject, consumeOptions = {}) => {
      const request = toRequest(name, subject, consumeOptions);
      const unwatched = metrics === undefined && request.policy.nearLimit === undefined;
      return unwatched ? store.consume(request) : watch(request, store.consume);
    },
    peek: async (name, subject, consumeOptions = {}) => store.peek(toRequest(name, subject, consumeOptions)),
    reset: async (name, subject, { action } = {}) => store.reset(locate(find(name), subject, action)),
    block: async (name, subject, { action, durationMs = 'forever' } = {}) => {
      if (durationMs !== 'forever') wholeNumberWithin('durationMs', durationMs, 1, MAX_BLOCK_MS);
      const policy = find(name);
      return store.block(policy, locate(policy, subject, action), durationMs === 'forever' ? Infinity : durationMs);
    },
    unblock: async (name, subject, { action } = {}) => store.unblock(locate(find(name), subject, action)),
    close: async () => {
      if (closed) return;
      closed = true;
      await store.close();
    },
  };
}

function byName(policies: readonly Policy[]): ReadonlyMap<string, Policy> {
  if (policies.length === 0) throw new LimiterInputError('policies', 'must hold at least one policy');
  const map = new Map<string, Policy>();
  for (const policy of policies) {
    if (map.has(policy.name)) throw new LimiterInputError('policies', `holds ${shown(policy.name)} twice`);
    map.set(policy.name, policy);
  }
  return map;
}
