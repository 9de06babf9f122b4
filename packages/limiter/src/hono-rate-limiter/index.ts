import type { Env } from 'hono';
import type { HonoConfigType, Store } from 'hono-rate-limiter';
import type { Input } from 'hono/types';
import {
  HitCounter,
  type HitCounterOptions,
  type Hits,
  prefixOf,
  StoreNotInitializedError,
} from '../hit-counter/hit-counter.ts';
import { oneOf } from '../policy/policy.ts';
import type { OnUnavailable } from '../types.ts';

/** Where the hits are counted. */
export type SpillwayStoreOptions = HitCounterOptions & {
  /** What to answer while Redis is away; the middleware has no say in it. @default 'open' */
  readonly onUnavailable?: OnUnavailable;
};

/**
 * A store for hono-rate-limiter: its middleware and options stay, the counting becomes exact and shared.
 *
 * What changes. A window slides: `windowMs` and the limit mean that no stretch of that length sees more than the limit,
 * where a fixed window lets through twice as much around its edge. So `resetTime` of an admitted hit is when the whole
 * limit is free again, and of a refused one when the next hit fits, which is what becomes `Retry-After`. A refused hit
 * isn't counted.
 *
 * When the middleware's `limit` is a function, tell the store the highest it can be. There is no `resetAll`: it would have
 * to scan all of Redis.
 * @example
 * ```ts
 * app.use(rateLimiter({ windowMs: 60_000, limit: 100, keyGenerator, store: new SpillwayStore({ redis, prefix: 'api:' }) }));
 * ```
 */
export class SpillwayStore<E extends Env = Env, P extends string = string, I extends Input = Input> implements Store<
  E,
  P,
  I
> {
  /** All processes share the keys. */
  readonly localKeys = false;
  readonly prefix: string;
  readonly #options: HitCounterOptions;
  readonly #onUnavailable: OnUnavailable;
  #counter: HitCounter | undefined;

  constructor({ onUnavailable = 'open', ...options }: SpillwayStoreOptions) {
    oneOf('onUnavailable', onUnavailable, ['open', 'closed']);
    this.prefix = prefixOf(options);
    this.#options = options;
    this.#onUnavailable = onUnavailable;
  }

  /** Called by the middleware. @throws {LimiterInputError} when its window or limit can't be used. */
  init({ windowMs, limit, skipSuccessfulRequests }: HonoConfigType<E, P, I>): void {
    this.#counter = new HitCounter(this.#options, {
      name: 'hono-rate-limiter',
      windowMs,
      limit,
      // The middleware looks at a refusal before it has its status: to it, it was a success.
      takesBackRefusals: skipSuccessfulRequests,
      onUnavailable: this.#onUnavailable,
    });
  }

  /** Counts a hit. */
  increment(key: string): Promise<Hits> {
    return this.#started().increment(key);
  }

  /** Takes a hit back. */
  decrement(key: string): Promise<void> {
    return this.#started().decrement(key);
  }

  /** The count as it is. */
  get(key: string): Promise<Hits | undefined> {
    return this.#started().get(key);
  }

  /** Forgets a key. @throws {LimiterUnavailableError} */
  resetKey(key: string): Promise<void> {
    return this.#started().resetKey(key);
  }

  /** Lets go of timers; the Redis client stays open. */
  async shutdown(): Promise<void> {
    await this.#counter?.close();
  }

  #started(): HitCounter {
    if (this.#counter === undefined) throw new StoreNotInitializedError();
    return this.#counter;
  }
}

export { StoreNotInitializedError } from '../hit-counter/hit-counter.ts';
