import { type Span, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Limiter } from '@spillway/limiter';
import { type NoteRedis, noteTrace } from '@spillway/runtime';

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
