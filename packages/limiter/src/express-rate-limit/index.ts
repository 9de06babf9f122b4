import { HitCounter, type HitCounterOptions, type Hits } from '../hit-counter.ts';

/** Where the hits are counted. */
export type SpillwayStoreOptions = HitCounterOptions;

/**
 * A store for express-rate-limit, and for what is built on it, such as express-slow-down: its middleware and options stay,
 * the counts are shared, and each answer of the store has a deadline.
 *
 * Hits are counted in fixed windows, as the middleware means it: a window begins with its first hit, and hits go on
 * counting past the limit until it ends. Any `limit` will do, a function too, and any key; a `windowMs` with a fraction is
 * rounded up. While Redis is away `increment` rejects within the deadline, and the middleware's own `passOnStoreError`
 * decides then. For limits that hold in every trailing window use `rateLimit` of `@spillway/limiter/express`.
 *
 * There is no `resetAll`: it would have to scan all of Redis.
 * @example
 * ```ts
 * app.use(rateLimit({ windowMs: 60_000, limit: 100, store: new SpillwayStore({ redis, prefix: 'api:' }) }));
 * ```
 */
export class SpillwayStore {
  /** All processes share the keys. */
  readonly localKeys = false;
  readonly prefix: string;
  readonly #counter: HitCounter;

  constructor(options: SpillwayStoreOptions) {
    this.#counter = new HitCounter(options, { middleware: 'express-rate-limit', withoutRedis: 'reject' });
    this.prefix = options.prefix ?? 'rl:';
  }

  /**
   * Called by the middleware, once. express-rate-limit only logs what this throws, so all later calls fail with it too.
   * @throws {StoreReusedError} when another middleware has this store already.
   * @throws {LimiterInputError} when an option or the window can't be used.
   */
  init({ windowMs }: { readonly windowMs: number }): void {
    this.#counter.start(windowMs);
  }

  /** Counts a hit. @throws {LimiterUnavailableError} */
  increment(key: string): Promise<Hits> {
    return this.#counter.increment(key);
  }

  /** Subtracts a hit. */
  decrement(key: string): Promise<void> {
    return this.#counter.decrement(key);
  }

  /** The count as it is. @throws {LimiterUnavailableError} */
  get(key: string): Promise<Hits | undefined> {
    return this.#counter.get(key);
  }

  /** Forgets a key. @throws {LimiterUnavailableError} */
  resetKey(key: string): Promise<void> {
    return this.#counter.resetKey(key);
  }

  /** Stops timers; the Redis client stays open. */
  shutdown(): Promise<void> {
    return this.#counter.close();
  }
}

export { StoreNotInitializedError, StoreReusedError } from '../hit-counter.ts';
