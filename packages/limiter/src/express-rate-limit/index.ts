import type { Options, Store } from 'express-rate-limit';
import {
  HitCounter,
  type HitCounterOptions,
  type Hits,
  prefixOf,
  StoreNotInitializedError,
} from '../hit-counter/hit-counter.ts';

/** Where the hits are counted. */
export type SpillwayStoreOptions = HitCounterOptions;

/**
 * A store for express-rate-limit: its middleware and options stay, the counting becomes exact and shared.
 *
 * What changes. A window slides: `windowMs` and the limit mean that no stretch of that length sees more than the limit,
 * where a fixed window lets through twice as much around its edge. So `resetTime` of an admitted hit is when the whole
 * limit is free again, and of a refused one when the next hit fits, which is what becomes `Retry-After`. A refused hit
 * isn't counted. While Redis is away `increment` rejects within the deadline, and the middleware's own `passOnStoreError`
 * says what then.
 *
 * When the middleware's `limit` is a function, tell the store the highest it can be. There is no `resetAll`: it would have
 * to scan all of Redis.
 * @example
 * ```ts
 * app.use(rateLimit({ windowMs: 60_000, limit: 100, store: new SpillwayStore({ redis, prefix: 'api:' }) }));
 * ```
 */
export class SpillwayStore implements Store {
  /** All processes share the keys. */
  readonly localKeys = false;
  readonly prefix: string;
  readonly #options: SpillwayStoreOptions;
  #counter: HitCounter | undefined;

  constructor(options: SpillwayStoreOptions) {
    this.prefix = prefixOf(options);
    this.#options = options;
  }

  /** Called by the middleware. @throws {LimiterInputError} when its window or limit can't be used. */
  init({ windowMs, limit, skipFailedRequests }: Options): void {
    this.#counter = new HitCounter(this.#options, {
      name: 'express-rate-limit',
      windowMs,
      limit,
      // A refusal's 429 is a failed request to the middleware.
      takesBackRefusals: skipFailedRequests,
    });
  }

  /** Counts a hit. @throws {LimiterUnavailableError} */
  increment(key: string): Promise<Hits> {
    return this.#started().increment(key);
  }

  /** Takes a hit back. */
  decrement(key: string): Promise<void> {
    return this.#started().decrement(key);
  }

  /** The count as it is. @throws {LimiterUnavailableError} */
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
