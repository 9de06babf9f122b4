import type { IncomingMessage, ServerResponse } from 'node:http';
import { checkGuardOptions, type GuardOptions, judge, type Verdict } from '../http/judge.ts';
import { isPreflight } from '../http/preflight.ts';
import { carryOut, type NodeRequest, nodeRequest } from '../http/node-request.ts';

/** Options of {@link rateLimit}: which policy to check, for whom. */
export type RateLimitOptions<Req extends IncomingMessage = IncomingMessage> = GuardOptions<NodeRequest<Req>>;

/** A middleware of Express, Connect, or whatever else hands on Node's own request and response. */
export type RateLimitMiddleware<Req extends IncomingMessage = IncomingMessage> = (
  request: Req,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => Promise<void>;

/**
 * Express middleware that lets a request pass only within the policy. Refused ones get 429 as problem+json; all get the
 * rate limit headers, and a browser's preflight passes uncharged. Without `identify` the address of the connection is asking:
 * behind a proxy give `byIp({ trustedProxies })`. Errors of the limiter's caller (a cost above the limit) and of `identify` go to `next`. Middleware
 * that sets CORS headers belongs in front of it.
 * @example By address, behind proxies in 10.0.0.0/8
 * ```ts
 * app.use('/api', rateLimit({ limiter, policy: 'standard', identify: byIp({ trustedProxies: ['10.0.0.0/8'] }) }));
 * ```
 * @throws {LimiterInputError} at construction, when an option can't be used.
 */
export function rateLimit<Req extends IncomingMessage = IncomingMessage>(
  options: RateLimitOptions<Req>,
): RateLimitMiddleware<Req> {
  checkGuardOptions(options);
  return async (raw, response, next) => {
    let verdict: Verdict;
    const request = nodeRequest(raw);
    if (isPreflight(raw.method, request)) {
      next();
      return;
    }
    try {
      verdict = await judge(request, options, { once: raw });
    } catch (error) {
      next(error);
      return;
    }
    if (carryOut(verdict, response)) next();
  };
}

export type { NodeRequest } from '../http/node-request.ts';
