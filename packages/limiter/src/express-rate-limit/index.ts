import { HitCounter, type HitCounterOptions } from '../hit-counter.ts';

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
export class SpillwayStore extends HitCounter {
  /** @throws {LimiterInputError} when the prefix can't be used. */
  constructor(options: SpillwayStoreOptions) {
    super(options, { middleware: 'express-rate-limit', withoutRedis: 'reject' });
  }
}

export { StoreNotInitializedError, StoreReusedError } from '../hit-counter.ts';
