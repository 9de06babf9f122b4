import { prometheus } from '@hono/prometheus';
import type { BreakerMetrics } from '@spillway/breaker';
import { prometheusMetrics as breakerMetrics } from '@spillway/breaker/prometheus';
import type { LimiterMetrics } from '@spillway/limiter';
import { prometheusMetrics } from '@spillway/limiter/prometheus';
import type { Handler, MiddlewareHandler } from 'hono';
import type { KeyDirectory } from '../auth/key-directory.ts';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** The API's metrics. */
export interface ApiMetrics {
  /** Holds them all; other parts of the process may add theirs. */
  readonly registry: Registry;
  /** For the limiter: decisions by policy and outcome. */
  readonly limiter: LimiterMetrics;
  /** For the breakers: the state of each that was looked at or moved here, and what this process moved. */
  readonly breakers: BreakerMetrics;
  /** Counts requests by method, route and status. */
  readonly countRequests: MiddlewareHandler;
  /** Reports the age of the known keys at each scrape. */
  watchKeys(keys: Pick<KeyDirectory, 'ageMs'>): void;
  /** Answers `GET /metrics` without a key: it returns numbers per policy and route, never a subject. */
  readonly scrape: Handler;
}

/** Makes them, in a registry of their own, with prom-client's metrics of the process. */
export function apiMetrics(): ApiMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const { metrics } = prometheusMetrics({ registry });
  const { registerMetrics } = prometheus({ registry, prefix: 'spillway_api_' });
  return {
    registry,
    limiter: metrics,
    breakers: breakerMetrics({ registry }).metrics,
    countRequests: registerMetrics,
    watchKeys: (keys) => {
      const age: Gauge = new Gauge({
        name: 'spillway_api_keys_age_seconds',
        help: 'Time since the API keys were last read, or found unchanged, in Postgres.',
        registers: [registry],
        collect: () => age.set(keys.ageMs() / 1_000),
      });
    },
    scrape: async (context) =>
      context.body(await registry.metrics(), 200, {
        'content-type': registry.contentType,
        'cache-control': 'no-store',
      }),
  };
}
