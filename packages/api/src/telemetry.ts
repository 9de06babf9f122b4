import type { LimiterMetrics, Limiter } from '@spillway/limiter';
import { type Span, SpanStatusCode, trace } from '@opentelemetry/api';
import { type NoteRedis, noteTrace } from '@spillway/runtime';
import { prometheus } from '@hono/prometheus';
import type { BreakerMetrics } from '@spillway/breaker';
import { prometheusMetrics as breakerMetrics } from '@spillway/breaker/prometheus';
import { prometheusMetrics } from '@spillway/limiter/prometheus';
import type { Handler, MiddlewareHandler } from 'hono';
import type { KeyDirectory } from './auth/key-directory.ts';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';

/** Passes a limiter's metrics to two sinks. */
export function bothMetrics(one: LimiterMetrics, other: LimiterMetrics): LimiterMetrics {
  return {
    decision(decision) {
      one.decision?.(decision);
      other.decision?.(decision);
    },
    nearLimit(policy) {
      one.nearLimit?.(policy);
      other.nearLimit?.(policy);
    },
    batch(batch) {
      one.batch?.(batch);
      other.batch?.(batch);
    },
    cacheHit(kind) {
      one.cacheHit?.(kind);
      other.cacheHit?.(kind);
    },
    fallback(policy, answer, cause) {
      one.fallback?.(policy, answer, cause);
      other.fallback?.(policy, answer, cause);
    },
    dropped(count) {
      one.dropped?.(count);
      other.dropped?.(count);
    },
  };
}

/**
 * The same limiter with a span for each `consume`: `spillway.decide`, with policy and outcome and never a subject. A sampled
 * one that ends in a block leaves a note for the worker's flush to link to. A note that can't be kept is no error.
 */
export function tracedLimiter(limiter: Limiter, redis: NoteRedis, namespace = ''): Limiter {
  const tracer = trace.getTracer('@spillway/api');
  return {
    ...limiter,
    consume: async (policy, subject, options) =>
      tracer.startActiveSpan('spillway.decide', { attributes: { 'spillway.policy': policy } }, async (span) => {
        try {
          const decision = await limiter.consume(policy, subject, options);
          span.setAttributes({ 'spillway.outcome': decision.reason, 'spillway.remaining': decision.remaining });
          if (decision.reason === 'blocked') {
            await noteTrace(redis, { policy, subject }, span.spanContext(), namespace).catch(() => undefined);
          }
          return decision;
        } catch (error) {
          failed(span, error);
          throw error;
        } finally {
          span.end();
        }
      }),
  };
}

function failed(span: Span, error: unknown): void {
  if (error instanceof Error) span.recordException(error);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

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
