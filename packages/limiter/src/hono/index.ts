import type { MiddlewareHandler } from 'hono';
import { LimiterInputError, shown } from '../errors.ts';
import { guard, type GuardOptions } from '../http/guard.ts';
import { checkAction, checkCost } from '../request.ts';

/** Options of {@link rateLimit}: which policy to check, for whom. */
export type RateLimitOptions = GuardOptions;

/**
 * Hono middleware that lets a request pass only within the policy. Refused ones get 429 as problem+json; all get the
 * rate limit headers.
 * @example
 * ```ts
 * app.use('/api/*', rateLimit({ limiter, policy: 'standard' }));
 * ```
 * @throws {LimiterInputError} at construction, when the policy, action or cost can't be used.
 */
export function rateLimit(options: RateLimitOptions): MiddlewareHandler {
  const { limiter, policy: name, action, cost } = options;
  const policy = limiter.policies.get(name);
  if (policy === undefined) {
    throw new LimiterInputError(
      'policy',
      `must be one of ${[...limiter.policies.keys()].join(', ')}, not ${shown(name)}`,
    );
  }
  if (action !== undefined) checkAction(action);
  if (cost !== undefined) checkCost(cost, policy);
  return async (context, next) => {
    const result = await guard(context.req.raw, options);
    if (result.kind === 'refused') return result.response;
    await next();
    for (const [header, value] of Object.entries(result.headers)) context.header(header, value);
    return undefined;
  };
}
