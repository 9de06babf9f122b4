import type { Metric, Registry } from 'prom-client';

/** A registry holds another kind of metric under a name that is needed. */
export class MetricNameTakenError extends Error {
  readonly code = 'metric_name_taken';
  override readonly name = 'MetricNameTakenError';
  readonly metric: string;

  constructor(metric: string) {
    super(`the registry holds another metric called ${metric}: choose another prefix`);
    this.metric = metric;
  }
}

/** Borrows metrics of one registry. */
export interface Borrower {
  /** The metric of that name: the one that is in use already, or a new one, which it registers. */
  borrow<M extends Metric>(name: string, kind: abstract new (...args: never[]) => M, make: (name: string) => M): M;
  /** Gives back all of them; what nobody uses any more leaves the registry. */
  giveBack(): void;
}

interface Shared {
  readonly metric: Metric;
  users: number;
}

/** Who uses what, in each registry: prom-client refuses a name twice, and removing one cuts off everybody. */
const inUse = new WeakMap<Registry, Map<string, Shared>>();

/** Makes a {@link Borrower}. */
export function borrowFrom(registry: Registry): Borrower {
  const all = inUse.get(registry) ?? new Map<string, Shared>();
  inUse.set(registry, all);
  const mine = new Map<string, Shared>();
  return {
    borrow(name, kind, make) {
      const registered = registry.getSingleMetric(name);
      if (registered === undefined) {
        const metric = make(name);
        registry.registerMetric(metric);
        const fresh = { metric, users: 1 };
        all.set(name, fresh);
        mine.set(name, fresh);
        return metric;
      }
      const shared = all.get(name);
      // Somebody else's metric, even one that looks alike, would be removed from under them.
      if (shared?.metric !== registered || !(registered instanceof kind)) throw new MetricNameTakenError(name);
      shared.users += 1;
      mine.set(name, shared);
      return registered;
    },
    giveBack() {
      for (const [name, shared] of mine) {
        shared.users -= 1;
        // After a `clear()` another metric may stand under the name.
        if (shared.users === 0 && registry.getSingleMetric(name) === shared.metric) {
          registry.removeSingleMetric(name);
          all.delete(name);
        }
      }
      mine.clear();
    },
  };
}
