import type { Context, MiddlewareHandler } from 'hono';
import { EXPOSE_HEADERS, exposeHeaders } from '../http/expose-headers.ts';
import { guard } from '../http/guard.ts';
import { checkGuardOptions, checkIdentify, type GuardOptions } from '../http/judge.ts';

/** Options of {@link rateLimit}: which policy to check, for whom. */
export interface RateLimitOptions extends Omit<GuardOptions, 'identify'> {
  /** Who is asking; the context has what earlier middleware found out. @default byApiKey */
  readonly identify?: (request: Request, context: Context) => string | undefined | Promise<string | undefined>;
}

/**
 * Hono middleware that lets a request pass only within the policy. Refused ones get 429 as problem+json; all get the
 * rate limit headers.
 * @example
 * ```ts
 * app.use('/api/*', rateLimit({ limiter, policy: 'standard' }));
 * ```
 * @throws {LimiterInputError} at construction, when an option can't be used.
 */
export function rateLimit({ identify, ...options }: RateLimitOptions): MiddlewareHandler {
  checkGuardOptions(options);
  checkIdentify(identify);
  return async (context, next) => {
    const result = await guard(
      context.req.raw,
      identify === undefined ? options : { ...options, identify: (request) => identify(request, context) },
    );
    if (result.kind === 'refused') {
      const exposed = result.response.headers.get(EXPOSE_HEADERS);
      // What middleware has put on the context goes over what a returned response has: a list must be joined here.
      if (exposed !== null) expose(context, exposed.split(', '));
      return result.response;
    }
    await next();
    for (const [header, value] of Object.entries(result.headers)) context.header(header, value);
    if (result.exposed.length > 0) expose(context, result.exposed);
    return undefined;
  };
}

function expose(context: Context, names: readonly string[]): void {
  context.header(EXPOSE_HEADERS, exposeHeaders(context.res.headers.get(EXPOSE_HEADERS), names));
}
