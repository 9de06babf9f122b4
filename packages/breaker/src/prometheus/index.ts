import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { BreakerInputError } from '../errors.ts';
import { type BreakerMetrics, CALL_OUTCOMES, LEASE_EVENTS, STATE_NAMES } from '../metrics.ts';

/** Where the metrics go. */
export interface PrometheusMetricsOptions {
  readonly registry: Registry;
  /** Before each name. @default 'spillway_breaker_' */
  readonly prefix?: string;
}

/** Metrics in a registry, and their end. */
export interface PrometheusMetrics {
  readonly metrics: BreakerMetrics;
  /** Removes the metrics from the registry, once every user that shares them has called it. */
  unregister(): void;
}

interface Shared {
  readonly instruments: Instruments;
  users: number;
}

/** The users of each registry's metrics: prom-client rejects a name twice, and removing a metric would cut off all of them. */
const inUse = new WeakMap<Registry, Map<string, Shared>>();

/**
 * Counts the work of breakers in a prom-client registry. Sets of breakers that share a registry and a prefix share the
 * metrics. `state` is 1 for the state that this instance acts on and 0 for the others. The labels hold the breakers' names:
 * their number is that of the breakers in memory, for the series of evicted ones go.
 * @example
 * ```ts
 * const { metrics } = prometheusMetrics({ registry: register });
 * const breakers = createBreakers({ redis, metrics });
 * ```
 * @throws {BreakerInputError} if the registry has a metric of the same name from another library.
 */
export function prometheusMetrics(options: PrometheusMetricsOptions): PrometheusMetrics {
  const { registry, prefix = 'spillway_breaker_' } = options;
  const ofRegistry = inUse.get(registry) ?? new Map<string, Shared>();
  inUse.set(registry, ofRegistry);
  const found = ofRegistry.get(prefix);
  // After a `clear()` what was shared is out of the registry: those that have it keep it, new ones start from zero.
  const shared = found !== undefined && isRegistered(registry, found.instruments) ? found : register(registry, prefix);
  ofRegistry.set(prefix, shared);
  shared.users += 1;
  let isRegisteredHere = true;
  return {
    metrics: metricsOn(shared.instruments),
    unregister() {
      if (!isRegisteredHere) return;
      isRegisteredHere = false;
      shared.users -= 1;
      if (shared.users > 0) return;
      for (const [name, instrument] of byName(shared.instruments)) {
        if (registry.getSingleMetric(name) === instrument) registry.removeSingleMetric(name);
      }
      if (ofRegistry.get(prefix) === shared) ofRegistry.delete(prefix);
    },
  };
}

type Breaker = 'breaker' | 'preset';

interface Instruments {
  readonly prefix: string;
  readonly state: Gauge<Breaker | 'state'>;
  readonly calls_total: Counter<Breaker | 'outcome'>;
  readonly call_duration_seconds: Histogram<Breaker>;
  readonly transitions_total: Counter<Breaker | 'from' | 'to' | 'reason'>;
  readonly probe_leases_total: Counter<Breaker | 'event'>;
  readonly flush_duration_seconds: Histogram;
  readonly outages_total: Counter;
}

const BREAKER: readonly Breaker[] = ['breaker', 'preset'];

function register(registry: Registry, prefix: string): Shared {
  const options = <Label extends string>(name: string, help: string, labels: readonly Label[]) => ({
    name: `${prefix}${name}`,
    help,
    labelNames: [...BREAKER, ...labels],
    registers: [],
  });
  const bare = (name: string, help: string) => ({ name: `${prefix}${name}`, help, registers: [] });
  const callBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];
  const flushBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
  const instruments: Instruments = {
    prefix,
    state: new Gauge(options('state', '1 for the state that this instance acts on.', ['state'])),
    calls_total: new Counter(options('calls_total', 'Calls by outcome; refused ones were not made.', ['outcome'])),
    call_duration_seconds: new Histogram({
      ...options('call_duration_seconds', 'How long the functions took.', []),
      buckets: callBuckets,
    }),
    transitions_total: new Counter(
      options('transitions_total', 'Transitions that this instance made.', ['from', 'to', 'reason']),
    ),
    probe_leases_total: new Counter(options('probe_leases_total', 'Outcomes of leases for probes.', ['event'])),
    flush_duration_seconds: new Histogram({
      ...bare('flush_duration_seconds', 'From sending a report to its reply.'),
      buckets: flushBuckets,
    }),
    outages_total: new Counter(bare('outages_total', 'Times that Redis went away.')),
  };
  const all = byName(instruments);
  const taken = all.find(([name]) => registry.getSingleMetric(name) !== undefined);
  if (taken !== undefined) {
    throw new BreakerInputError('registry', `holds another metric called ${taken[0]}: choose another prefix`);
  }
  for (const [, instrument] of all) registry.registerMetric(instrument);
  return { instruments, users: 0 };
}

function byName({ prefix, ...instruments }: Instruments) {
  return Object.entries(instruments).map(([name, instrument]) => [`${prefix}${name}`, instrument] as const);
}

function isRegistered(registry: Registry, instruments: Instruments): boolean {
  return byName(instruments).every(([name, instrument]) => registry.getSingleMetric(name) === instrument);
}

function metricsOn(on: Instruments): BreakerMetrics {
  return {
    state(breaker, preset, current) {
      for (const state of STATE_NAMES) on.state.set({ breaker, preset, state }, state === current ? 1 : 0);
    },
    call(breaker, preset, outcome, durationMs) {
      on.calls_total.inc({ breaker, preset, outcome });
      if (outcome !== 'refused') on.call_duration_seconds.observe({ breaker, preset }, durationMs / 1000);
    },
    transition: (breaker, preset, from, to, reason) => on.transitions_total.inc({ breaker, preset, from, to, reason }),
    lease: (breaker, preset, event) => on.probe_leases_total.inc({ breaker, preset, event }),
    flush: ({ durationMs }) => on.flush_duration_seconds.observe(durationMs / 1000),
    outage({ kind }) {
      if (kind === 'begin') on.outages_total.inc();
    },
    forget(breaker, preset) {
      for (const state of STATE_NAMES) on.state.remove({ breaker, preset, state });
      for (const outcome of CALL_OUTCOMES) on.calls_total.remove({ breaker, preset, outcome });
      for (const event of LEASE_EVENTS) on.probe_leases_total.remove({ breaker, preset, event });
      on.call_duration_seconds.remove({ breaker, preset });
    },
  };
}
