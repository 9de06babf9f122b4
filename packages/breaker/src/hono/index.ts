import type { ErrorHandler, MiddlewareHandler } from 'hono';
import { refusalIn, refusalResponse } from '../http/refusal-response.ts';

/**
 * An `onError` handler that answers refusals by breakers with 503 as problem+json and `Retry-After`, and leaves all other
 * errors to `otherwise`.
 * @example
 * ```ts
 * app.onError(onCircuitOpen((error, context) => context.text('Internal Server Error', 500)));
 * ```
 */
export function onCircuitOpen(otherwise: ErrorHandler): ErrorHandler {
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
 * app.use('/generate/*', circuitOpenAnswers());
 * ```
 */
export function circuitOpenAnswers(): MiddlewareHandler {
  return async (context, next) => {
    await next();
    const refusal = refusalIn(context.error);
    if (refusal === undefined) return;
    // Else Hono would keep the headers of the answer that is replaced.
    context.res = undefined;
    context.res = refusalResponse(refusal);
  };
}
