import { LRUCache } from 'lru-cache';
import { LimiterInputError, LimiterUnavailableError, shown } from '../errors.ts';
import { createLimiter, type LimiterOptions, type LimiterSettings } from '../limiter.ts';
import type { Limiter } from '../limiter-interface.ts';
import { definePolicy } from '../policy/policy.ts';
import { checkText, MAX_ACTION_BYTES } from '../request.ts';
import type { Decision, OnUnavailable, Policy } from '../types.ts';

/** Where a foreign middleware's hits are counted, and under which name. */
export type HitCounterOptions = {
  /** Keeps the keys of two middlewares apart; up to 256 bytes. @default 'rl:' */
  readonly prefix?: string;
  /** The highest limit; needed when the middleware's own is a function of the request. @default the middleware's limit */
  readonly limit?: number;
  /** What metrics and Redis keys call it: lower-case letters, digits, `_` and `-`. @default the middleware's name */
  readonly policy?: string;
} & Pick<LimiterSettings<readonly Policy[]>, 'deadlineMs' | 'shards' | 'metrics'> &
  Backend;

/** Either of the two places in which a limiter keeps its windows. */
type Backend =
  LimiterOptions<readonly Policy[]> extends infer Options
    ? Options extends { readonly redis: infer Client }
      ? { readonly redis: Client }
      : Options extends { readonly store: infer Store }
        ? { readonly store: Store }
        : never
    : never;

/** What a middleware says when it starts. */
export interface HitCounterStart {
  readonly name: string;
  readonly windowMs: number;
  /** A number, or something that the counter can't ask. */
  readonly limit: unknown;
  /** Whether the middleware takes back the hits that it refused, too. */
  readonly takesBackRefusals: boolean;
  /** What to count while Redis is away; undefined rejects and leaves it to the middleware. */
  readonly onUnavailable?: OnUnavailable | undefined;
}

/** A count as these middlewares want it. */
export interface Hits {
  readonly totalHits: number;
  readonly resetTime: Date;
}

type CountingLimiter = Pick<Limiter, 'consume' | 'peek' | 'reward' | 'reset' | 'close'>;

/** A middleware asked for a count before it said how to count. */
export class StoreNotInitializedError extends Error {
  readonly code = 'store_not_initialized';
  override readonly name = 'StoreNotInitializedError';

  constructor() {
    super('the store has no window and limit yet: the middleware must call init() first');
  }
}

/** Refusals remembered until the middleware takes them back, or their window is over. */
const MAX_REFUSALS = 10_000;

/** The prefix of a store's keys. @throws {LimiterInputError} unless it can be part of a key. */
export function prefixOf({ prefix = 'rl:' }: Pick<HitCounterOptions, 'prefix'>): string {
  checkText('prefix', prefix, MAX_ACTION_BYTES);
  return prefix;
}

/**
 * Counts hits with a limiter. The count of a key is the units in its window, and one more than the limit for a refused
 * hit. A refused hit is not charged: the exact window would otherwise never let through whoever keeps trying.
 */
export class HitCounter {
  readonly #limiter: CountingLimiter;
  readonly #policy: string;
  readonly #action: string;
  readonly #limit: number;
  readonly #deadlineMs: number;
  readonly #start: HitCounterStart;
  readonly #refusals: LRUCache<string, number>;

  constructor(options: HitCounterOptions, start: HitCounterStart) {
    const { prefix: _prefix, limit = start.limit, policy: name = start.name, deadlineMs = 100, ...rest } = options;
    if (typeof limit !== 'number') {
      throw new LimiterInputError('limit', `must be given to the store when the middleware has ${shown(limit)} for it`);
    }
    // A limit of 0 refuses everything, by the middleware's own comparison.
    const policy = definePolicy({ name, limit: Math.max(limit, 1), windowMs: start.windowMs });
    this.#limiter = createLimiter({ ...rest, deadlineMs, policies: [policy] });
    this.#policy = name;
    this.#action = prefixOf(options);
    this.#limit = policy.limit;
    this.#deadlineMs = deadlineMs;
    this.#start = start;
    this.#refusals = new LRUCache({ max: MAX_REFUSALS, ttl: start.windowMs });
  }

  /** Counts a hit. @throws {LimiterUnavailableError} when Redis is away and the middleware is to decide. */
  async increment(key: string): Promise<Hits> {
    const decision = await this.#limiter.consume(this.#policy, key, { action: this.#action });
    if (decision.reason === 'unavailable') return this.#withoutRedis('increment', decision);
    if (decision.allowed) return this.#hits(decision, decision.resetAfterMs);
    if (this.#start.takesBackRefusals) this.#refusals.set(key, (this.#refusals.get(key) ?? 0) + 1);
    return { ...this.#hits(decision, decision.retryAfterMs), totalHits: this.#limit + 1 };
  }

  /** The count as it is; undefined when nothing is counted. @throws {LimiterUnavailableError} */
  async get(key: string): Promise<Hits | undefined> {
    const decision = await this.#limiter.peek(this.#policy, key, { action: this.#action });
    if (decision.reason === 'unavailable') return this.#withoutRedis('get', decision);
    return decision.remaining === this.#limit ? undefined : this.#hits(decision, decision.resetAfterMs);
  }

  /** Takes a hit back; one that was refused was never charged. */
  async decrement(key: string): Promise<void> {
    const refused = this.#refusals.get(key) ?? 0;
    if (refused > 1) this.#refusals.set(key, refused - 1);
    else if (refused === 1) this.#refusals.delete(key);
    else await this.#giveBack(key);
  }

  /** Forgets a key. @throws {LimiterUnavailableError} */
  async resetKey(key: string): Promise<void> {
    this.#refusals.delete(key);
    await this.#limiter.reset(this.#policy, key, { action: this.#action });
  }

  /** Lets go of timers; the Redis client stays open. */
  close(): Promise<void> {
    return this.#limiter.close();
  }

  async #giveBack(key: string): Promise<void> {
    try {
      await this.#limiter.reward(this.#policy, key, { action: this.#action });
    } catch (error) {
      // The request has been served; a hit that stays counted must not make a failure of it.
      if (this.#start.onUnavailable === undefined || !(error instanceof LimiterUnavailableError)) throw error;
    }
  }

  // Counted from now, not `resetAt`: the middlewares subtract their own clock, which may not be Redis'.
  #hits({ remaining }: Decision, waitMs: number): Hits {
    return { totalHits: this.#limit - remaining, resetTime: new Date(Date.now() + waitMs) };
  }

  #withoutRedis(operation: string, decision: Decision): Hits {
    const { onUnavailable } = this.#start;
    if (onUnavailable === undefined) throw new LimiterUnavailableError(operation, this.#deadlineMs);
    return { ...this.#hits(decision, 1_000), totalHits: onUnavailable === 'open' ? 1 : this.#limit + 1 };
  }
}
