import { oneOf } from '../checks.ts';
import { HitCounter, type HitCounterOptions } from '../hit-counter.ts';

/** Where the hits are counted. */
export type SpillwayStoreOptions = HitCounterOptions & {
  /** What to answer while Redis is away; the middleware has no say in it. @default 'open' */
  readonly onUnavailable?: 'open' | 'closed';
};

/**
 * A store for hono-rate-limiter: its middleware and options stay, the counts are shared, and each answer of the store has
 * a deadline.
 *
 * Hits are counted in fixed windows, as the middleware means it: a window begins with its first hit, and hits go on
 * counting past the limit until it ends. Any `limit` will do, a function too, and any key; a `windowMs` with a fraction is
 * rounded up. For limits that hold in every trailing window use `rateLimit` of `@spillway/limiter/hono`.
 *
 * There is no `resetAll`: it would have to scan all of Redis.
 * @example
 * ```ts
 * app.use(rateLimiter({ windowMs: 60_000, limit: 100, keyGenerator, store: new SpillwayStore({ redis, prefix: 'api:' }) }));
 * ```
 */
export class SpillwayStore extends HitCounter {
  /** @throws {LimiterInputError} when the prefix or `onUnavailable` can't be used. */
  constructor({ onUnavailable = 'open', ...options }: SpillwayStoreOptions) {
    oneOf('onUnavailable', onUnavailable, ['open', 'closed']);
    super(options, { middleware: 'hono-rate-limiter', withoutRedis: onUnavailable });
  }
}

export { StoreNotInitializedError, StoreReusedError } from '../hit-counter.ts';
