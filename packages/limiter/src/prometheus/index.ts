import {
  Counter,
  type CounterConfiguration,
  Histogram,
  type HistogramConfiguration,
  type Metric,
  type Registry,
} from 'prom-client';
import type { LimiterMetrics } from '../metrics.ts';

/** Where the metrics go and what they are called. */
export interface PrometheusMetricsOptions {
  /** prom-client's registry, such as its global `register`. */
  readonly registry: Registry;
  /** What every name begins with. @default 'spillway_limiter_' */
  readonly prefix?: string;
  /** Upper bounds of the duration histograms, in seconds. @default from 0.1 ms to 1 s */
  readonly durationBuckets?: readonly number[];
}

/** Metrics in a registry, until they are taken out of it. */
export interface PrometheusMetrics {
  /** For the limiter's option of the same name. */
  readonly metrics: LimiterMetrics;
  /** Removes the metrics that no other limiter of this process uses. A second call does nothing. */
  unregister(): void;
}

const DURATION_BUCKETS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1,
];

/**
 * Counts a limiter's work in a prom-client registry. Limiters that share a registry and a prefix share the metrics. The
 * labels are policies, outcomes, kinds and answers: their number is bounded, a subject is never among them.
 * @example
 * ```ts
 * const { metrics } = prometheusMetrics({ registry: register });
 * const limiter = createLimiter({ redis, policies: tiers, metrics });
 * ```
 * @throws {MetricNameTakenError} when the registry holds something else under one of the names.
 */
export function prometheusMetrics(options: PrometheusMetricsOptions): PrometheusMetrics {
  const { registry, prefix = 'spillway_limiter_', durationBuckets = DURATION_BUCKETS } = options;
  const { borrow, giveBack } = borrowFrom(registry);
  const counter = <Label extends string>(
    name: string,
    help: string,
    labelNames: CounterConfiguration<Label>['labelNames'] = [],
  ): Counter<Label> =>
    borrow(`${prefix}${name}`, Counter<Label>, (full) => new Counter({ name: full, help, labelNames, registers: [] }));
  const histogram = <Label extends string>(
    name: string,
    help: string,
    buckets: readonly number[],
    labelNames: HistogramConfiguration<Label>['labelNames'] = [],
  ): Histogram<Label> =>
    borrow(
      `${prefix}${name}`,
      Histogram<Label>,
      (full) => new Histogram({ name: full, help, buckets: [...buckets], labelNames, registers: [] }),
    );

  const decisions = counter('decisions_total', 'Decisions by policy and outcome.', ['policy', 'outcome']);
  const durations = histogram('decision_duration_seconds', 'Time from a call to its decision.', durationBuckets, [
    'policy',
  ]);
  const nearLimit = counter('near_limit_total', 'Admitted requests of subjects near their limit.', ['policy']);
  const batchSize = histogram('batch_size', 'Requests decided by one script call.', [1, 2, 4, 8, 16, 32, 64]);
  const batchTimes = histogram('batch_duration_seconds', 'Time from sending a batch to its reply.', durationBuckets);
  const cacheHits = counter('cache_hits_total', 'Decisions made in the process, without a call to Redis.', ['kind']);
  const fallbacks = counter('fallbacks_total', 'Decisions made while Redis was unavailable.', [
    'policy',
    'answer',
    'cause',
  ]);
  const dropped = counter('dropped_events_total', 'Audit events lost because the outbox was full.');
  return {
    metrics: {
      decision({ policy, outcome, durationMs }) {
        decisions.inc({ policy, outcome });
        durations.observe({ policy }, durationMs / 1000);
      },
      nearLimit: (policy) => nearLimit.inc({ policy }),
      batch({ size, durationMs }) {
        batchSize.observe(size);
        batchTimes.observe(durationMs / 1000);
      },
      cacheHit: (kind) => cacheHits.inc({ kind }),
      fallback: (policy, answer, cause) => fallbacks.inc({ policy, answer, cause }),
      dropped: (count) => dropped.inc(count),
    },
    unregister: giveBack,
  };
}

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
  /** Releases all of them; unused ones are removed from the registry. */
  giveBack(): void;
}

interface Shared {
  readonly metric: Metric;
  users: number;
}

/** The users of each registry's metrics: prom-client rejects a name twice, and removing one would cut off all of them. */
const inUse = new WeakMap<Registry, Map<string, Shared>>();

/** Makes a {@link Borrower}. */
function borrowFrom(registry: Registry): Borrower {
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
      // A metric of another owner, even one that looks alike, would be removed while it is in use.
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
