import { monotonicClock } from '@spillway/redis/core';
import type { Bus } from '../live/bus.ts';
import type { LimiterStore } from '../store/store.ts';
import { LeaseBook } from './lease-book.ts';
import { withLeaseTtl } from './leased-key.ts';

/** Options of {@link leases}. */
export interface LeasesOptions {
  /** Tells of windows that were blocked or reset elsewhere. Without one a block reaches a holder when its lease ends. */
  readonly bus?: Bus;
  /** Most windows of which units are held; others are decided in the store. @default 10000 */
  readonly maxKeys?: number;
  /** Called for each decision that needed no store. */
  readonly onHit?: () => void;
  /** The monotonic clock, in ms. @default performance.now */
  readonly now?: () => number;
}

/** What a store does, with units that are held here of policies with a `lease`. */
export interface Leases extends Pick<
  LimiterStore,
  'consume' | 'consumeAll' | 'peek' | 'charge' | 'reward' | 'reset' | 'block' | 'close'
> {
  /** Gives back what has expired. Runs by itself; for tests that turn the clock by hand. */
  sweep(): void;
}

/**
 * Leases in front of a store: units are charged in advance, spent here, and what is unspent goes back when the lease ends.
 *
 * In the store units count for the lease's time longer than the window (see {@link withLeaseTtl}): however many processes hold
 * units, **never more than the limit is admitted in any trailing window**. The price is that units come free that much later.
 * Each process holds at most `size` units of a window, those on their way included.
 *
 * Nobody is refused while the store has enough units, alone or together with those held here. Units that other processes
 * hold come free within `ttlMs`.
 */
export function leases(inner: LimiterStore, options: LeasesOptions = {}): Leases {
  const { bus, onHit = () => undefined, maxKeys = 10_000, now = () => monotonicClock.now() } = options;
  const book = new LeaseBook({ inner, maxKeys, now, onOpen: () => bus?.start(), onHit });
  bus?.listen({ onKey: (change, key) => (change === 'reset' ? book.drop(key) : void book.returnLease(key)) });
  return {
    sweep: () => book.sweep(),
    consume: (request) => {
      const { lease } = request.policy;
      return lease === undefined ? inner.consume(request) : book.decide(request, lease);
    },
    consumeAll(requests) {
      // What is held goes first: together with what is there it may be enough.
      for (const { policy, key } of requests) if (policy.lease !== undefined) void book.returnLease(key);
      return inner.consumeAll(requests.map(withLeaseTtl));
    },
    async peek(request) {
      const decision = await inner.peek(withLeaseTtl(request));
      const held = book.held(request.key);
      if (held === 0 || (decision.reason !== 'allowed' && decision.reason !== 'limited')) return decision;
      const remaining = Math.min(decision.limit, decision.remaining + held);
      if (remaining < request.cost) return { ...decision, remaining };
      return { ...decision, remaining, allowed: true, reason: 'allowed', retryAfterMs: 0 };
    },
    charge: (request) => inner.charge(withLeaseTtl(request)),
    reward: (request) => inner.reward(withLeaseTtl(request)),
    async reset(window, by) {
      book.drop(window.key);
      await inner.reset(window, by);
    },
    async block(window, durationMs, by) {
      const until = await inner.block(window, durationMs, by);
      void book.returnLease(window.key);
      return until;
    },
    /** Gives back all that is held. */
    close: () => book.close(),
  };
}
