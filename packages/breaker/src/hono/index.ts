import type { ErrorHandler, MiddlewareHandler } from 'hono';
import { CircuitOpenError } from '../errors.ts';

/**
 * An `onError` handler that answers refusals by breakers with 503 as problem+json and `Retry-After`, and leaves all other
 * errors to `otherwise`.
 * @example
 * ```ts
 * app.onError(circuitOpenHandler((error, context) => context.text('Internal Server Error', 500)));
 * ```
 */
export function circuitOpenHandler(otherwise: ErrorHandler): ErrorHandler {
  return (error, context) => {
    const refusal = refusalIn(error);
    return refusal === undefined ? otherwise(error, context) : refusalResponse(refusal);
  };
}

/**
 * Middleware that does the same for the routes behind it. The application's `onError` has seen the error before, and may
 * have logged it, as Hono's own does; its answer is replaced.
 * @example
 * ```ts
 * app.use('/generate/*', handleCircuitOpen());
 * ```
 */
export function handleCircuitOpen(): MiddlewareHandler {
  return async (context, next) => {
    await next();
    const refusal = refusalIn(context.error);
    if (refusal === undefined) return;
    // Else Hono would keep the headers of the answer that is replaced.
    context.res = undefined;
    context.res = refusalResponse(refusal);
  };
}

const MAX_CAUSES = 5;

/** The refusal that an error is, or that one of its causes is: code in between may wrap what it doesn't know. */
function refusalIn(error: unknown): CircuitOpenError | undefined {
  let current = error;
  for (let depth = 0; depth <= MAX_CAUSES && current instanceof Error; depth += 1) {
    if (current instanceof CircuitOpenError) return current;
    current = current.cause;
  }
  return undefined;
}

/**
 * What a client gets whose request needed a dependency that is cut off: 503 with `Retry-After`, and a problem document
 * (RFC 9457) of the registered type `temporary-reduced-capacity`. `error` and `retryAfter` (seconds; null = no end is set)
 * are there for clients that read plain JSON, as in the answers of the rate limits.
 */
function refusalResponse({ breaker, preset, state, retryAfterMs }: CircuitOpenError): Response {
  const retryAfter = Number.isFinite(retryAfterMs) ? Math.ceil(retryAfterMs / 1000) : null;
  const problem = {
    type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
    status: 503,
    title: 'A service that this request needs is not available right now',
    detail: `${breaker} is cut off. ${retryAfter === null ? 'No end is set.' : `Try again in ${retryAfter} s.`}`,
    error: 'Service unavailable',
    breaker,
    preset,
    state,
    retryAfter,
  };
  return new Response(JSON.stringify(problem), {
    status: 503,
    headers: {
      'Content-Type': 'application/problem+json',
      ...(retryAfter === null ? {} : { 'Retry-After': String(retryAfter) }),
    },
  });
}
