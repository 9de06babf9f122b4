import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { MAX_LIMIT } from './algorithms/algorithm.ts';
import type { Policy } from './algorithms/registry.ts';
import { checkText, MAX_ACTION_BYTES } from './checks.ts';
import { LimiterInputError, LimiterUnavailableError } from './errors.ts';
import { createLimiter, type LimiterOptions, type LimiterSettings } from './limiter/create-limiter.ts';
import type { Limiter } from './limiter/limiter.ts';
import { definePolicy } from './policy.ts';
import type { Decision } from './types.ts';

/** Where another middleware's hits are counted, and under which name. */
export type HitCounterOptions = {
  /** Keeps the keys of two middlewares apart; up to 250 bytes, and may be empty. @default 'rl:' */
  readonly prefix?: string;
  /** What metrics and Redis keys call it: lower-case letters, digits, `_` and `-`. @default the middleware's name */
  readonly policy?: string;
} & Pick<LimiterSettings<readonly Policy[]>, 'deadlineMs' | 'shards' | 'namespace' | 'trail' | 'metrics'> &
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

/** What the middleware gets for a hit while Redis is away: `reject` leaves the answer to the middleware. */
export type HitsWithoutRedis = 'open' | 'closed' | 'reject';

/** The store's own part of a {@link HitCounter}. */
export interface HitCounterSetup {
  /** The middleware, which names the policy. */
  readonly middleware: string;
  readonly withoutRedis: HitsWithoutRedis;
}

/** A count as these middlewares want it. */
export interface Hits {
  readonly totalHits: number;
  readonly resetTime: Date;
}

type CountingLimiter = Pick<Limiter, 'consume' | 'peek' | 'reward' | 'reset' | 'close'>;

/** What there is from `init` on. */
interface Running {
  readonly limiter: CountingLimiter;
  /** Hits by key that Redis didn't count. */
  readonly uncounted: LRUCache<string, number>;
}

/** A middleware asked for a count before it called `init`. */
export class StoreNotInitializedError extends Error {
  readonly code = 'store_not_initialized';
  override readonly name = 'StoreNotInitializedError';

  constructor() {
    super('the store has no window yet: the middleware must call init() first');
  }
}

/** One store was given to two middlewares: which of two windows applies is not decidable. */
export class StoreReusedError extends Error {
  readonly code = 'store_reused';
  override readonly name = 'StoreReusedError';

  constructor() {
    super('this store belongs to another middleware already: make one store, with its own prefix, for each middleware');
  }
}

const PREFIX_TAG = 'hits:';

/** Keys up to this length are kept as they are; longer ones as their hash. */
const MAX_PLAIN_CHARS = 256;

/** Keys with hits that Redis did not count, remembered until they are taken back or their window is over. */
const MAX_UNCOUNTED = 10_000;

/** A hit refused by no limit known here is above every limit. */
const ABOVE_EVERY_LIMIT = Number.MAX_SAFE_INTEGER;

/**
 * What is the same in the stores of these middlewares. It counts hits in fixed windows, as they expect: a window begins with
 * its first hit, and hits go on counting past the middleware's limit, which only the middleware knows. So a refused hit is
 * always reported above the limit, and one that is taken back was counted: taking it back frees nothing that another hit used.
 */
export class HitCounter {
  /** All processes share the keys. */
  readonly localKeys = false;
  readonly prefix: string;
  readonly #options: HitCounterOptions;
  readonly #setup: HitCounterSetup;
  readonly #policy: string;
  readonly #action: string;
  #running: Running | undefined;
  #failure: Error | undefined;

  /** @throws {LimiterInputError} when the prefix can't be used. */
  constructor(options: HitCounterOptions, setup: HitCounterSetup) {
    const { prefix = 'rl:', policy = setup.middleware } = options;
    if (prefix !== '') checkText('prefix', prefix, MAX_ACTION_BYTES - PREFIX_TAG.length - 1);
    this.prefix = prefix;
    this.#options = options;
    this.#setup = setup;
    this.#policy = policy;
    this.#action = PREFIX_TAG + prefix;
  }

  /**
   * Called by the middleware, once. Some middlewares only log what this throws, so all later calls fail with the same error.
   * @throws {StoreReusedError} when another middleware has this store already.
   * @throws {LimiterInputError} when an option or the window can't be used.
   */
  init({ windowMs }: { readonly windowMs: number }): void {
    try {
      if (this.#running !== undefined) throw new StoreReusedError();
      const { prefix: _prefix, policy: _policy, deadlineMs = 100, ...rest } = this.#options;
      // A fraction of a ms can't be kept: rounded up, no window ends early.
      const whole = typeof windowMs === 'number' ? Math.ceil(windowMs) : Number.NaN;
      const policy = definePolicy({
        name: this.#policy,
        algorithm: 'fixed-window',
        limit: MAX_LIMIT,
        windowMs: whole,
        onUnavailable: 'open',
      });
      const given = this.#options.deadlineMs === undefined ? {} : { deadlineMs };
      const asking = 'redis' in rest ? { deadlineMs, denyCache: false } : given;
      const limiter = createLimiter({ ...rest, ...asking, policies: [policy], live: false });
      this.#running = { limiter, uncounted: new LRUCache({ max: MAX_UNCOUNTED, ttl: whole }) };
    } catch (error) {
      this.#failure = error instanceof Error ? error : new LimiterInputError('store', String(error));
      throw error;
    }
  }

  /** Counts a hit. @throws {LimiterUnavailableError} when Redis is away and the middleware is to decide. */
  async increment(key: unknown): Promise<Hits> {
    const { limiter, uncounted } = this.#started();
    const subject = subjectOf(key);
    const decision = await limiter.consume(this.#policy, subject, { action: this.#action });
    if (decision.reason !== 'unavailable') return hitsOf(decision);
    if (this.#setup.withoutRedis === 'reject') throw this.#unavailable('increment');
    uncounted.set(subject, (uncounted.get(subject) ?? 0) + 1);
    const totalHits = this.#setup.withoutRedis === 'open' ? 1 : ABOVE_EVERY_LIMIT;
    return { totalHits, resetTime: new Date(Date.now() + 1_000) };
  }

  /** The count as it is; undefined when nothing is counted. @throws {LimiterUnavailableError} */
  async get(key: unknown): Promise<Hits | undefined> {
    const decision = await this.#started().limiter.peek(this.#policy, subjectOf(key), { action: this.#action });
    if (decision.reason === 'unavailable') throw this.#unavailable('get');
    return decision.remaining === MAX_LIMIT ? undefined : hitsOf(decision);
  }

  /** Takes a hit back; one that Redis never counted is only forgotten. */
  async decrement(key: unknown): Promise<void> {
    const { limiter, uncounted } = this.#started();
    const subject = subjectOf(key);
    const left = uncounted.get(subject) ?? 0;
    if (left > 1) uncounted.set(subject, left - 1);
    else if (left === 1) uncounted.delete(subject);
    else await this.#giveBack(limiter, subject);
  }

  /** Forgets a key. @throws {LimiterUnavailableError} */
  async resetKey(key: unknown): Promise<void> {
    const { limiter, uncounted } = this.#started();
    uncounted.delete(subjectOf(key));
    await limiter.reset(this.#policy, subjectOf(key), { action: this.#action });
  }

  /** Stops timers; the Redis client stays open. */
  async shutdown(): Promise<void> {
    await this.#running?.limiter.close();
  }

  async #giveBack(limiter: CountingLimiter, subject: string): Promise<void> {
    try {
      await limiter.reward(this.#policy, subject, { action: this.#action });
    } catch (error) {
      // The request has been served; a hit that stays counted must not make a failure of it.
      if (this.#setup.withoutRedis === 'reject' || !(error instanceof LimiterUnavailableError)) throw error;
    }
  }

  #unavailable(operation: string): LimiterUnavailableError {
    return new LimiterUnavailableError(operation, this.#options.deadlineMs ?? 100);
  }

  #started(): Running {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#running === undefined) throw new StoreNotInitializedError();
    return this.#running;
  }
}

// Counted from now, not `resetAtMs`: the middlewares subtract their own clock, which may not be Redis'.
function hitsOf({ allowed, remaining, resetAfterMs }: Decision): Hits {
  const totalHits = allowed ? MAX_LIMIT - remaining : ABOVE_EVERY_LIMIT;
  return { totalHits, resetTime: new Date(Date.now() + resetAfterMs) };
}

/**
 * The subject of any key: a key generator may answer with an empty text, a number, or what a client sent. The first
 * character says whether the key itself follows or its hash, so that no key is another's hash.
 */
function subjectOf(key: unknown): string {
  const text = String(key);
  if (text.length <= MAX_PLAIN_CHARS && text.isWellFormed() && !text.includes('\0')) return `=${text}`;
  // UTF-16 keeps lone surrogates apart, which all have the same bytes as UTF-8.
  return `#${createHash('sha256').update(text, 'utf16le').digest('base64url')}`;
}
