import { type Leases, leases } from '../src/leases/leases.ts';
import { definePolicy } from '../src/policy.ts';
import { memoryStore } from '../src/store/memory-store.ts';
import type { LimiterStore, StoreRequest } from '../src/store/store.ts';

const START = 1_800_000_000_000;
/** A hundred a minute, in leases of at most 20 units. */
export const leased = definePolicy({ name: 'p', limit: 100, windowMs: 60_000, lease: { size: 20, ttlMs: 5_000 } });
/** A request under it. */
export const askLeased = (cost = 1, key = 'k'): StoreRequest => ({
  policy: leased,
  subject: 'u',
  action: 'default',
  key,
  cost,
});

/** What {@link clocked} makes. */
export interface Clocked {
  now: number;
  readonly calls: number[];
  readonly inner: LimiterStore;
  lease(maxKeys?: number): Leases;
}

/** Leases over one memory store, by a clock that is turned by hand. `calls` has the cost of each request that came through. */
export function clocked(): Clocked {
  const calls: number[] = [];
  const clock = { now: START };
  const store = memoryStore({ now: () => clock.now });
  const inner: LimiterStore = {
    ...store,
    consume: (request) => {
      calls.push(request.cost);
      return store.consume(request);
    },
  };
  return Object.assign(clock, {
    calls,
    inner,
    lease: (maxKeys = 100) => leases(inner, { now: () => clock.now, maxKeys }),
  });
}
