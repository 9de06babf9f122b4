import type { IncomingMessage, ServerResponse } from 'node:http';
import { checkGuardOptions, type GuardOptions, type RateLimitInfo, type Refusal } from '../http/guard-options.ts';
import { isPreflight } from '../http/headers.ts';
import { limitRequest } from '../http/limit-request.ts';
import { carryOut, checkResponse, type NodeRequest, nodeRequest } from '../http/node-request.ts';

/** Options of {@link rateLimit}: which policy to check, for which subject. */
export interface RateLimitOptions<Req extends IncomingMessage = IncomingMessage> extends GuardOptions<
  NodeRequest<Req>,
  Req
> {
  /** Your own answer to a refused request. Its status and the rate limit headers are set already. @default problem+json */
  readonly onRefused?: (
    request: Req,
    response: ServerResponse,
    next: (error?: unknown) => void,
    refusal: Refusal,
  ) => unknown;
  /**
   * Whether a request counts, asked when its answer has been sent. One that doesn't gets its units back. An answer that was cut
   * off counts. @default all count
   */
  readonly chargeIf?: (response: ServerResponse) => boolean | Promise<boolean>;
}

declare global {
  // oxlint-disable-next-line typescript/no-namespace -- where Express' types look for members of a request
  namespace Express {
    interface Request {
      /** What {@link rateLimit} decided; absent for a request that it skipped. */
      rateLimit?: RateLimitInfo;
    }
  }
}

/** A middleware of Express, Connect, or whatever else hands on Node's own request and response. */
export type RateLimitMiddleware<Req extends IncomingMessage = IncomingMessage> = (
  request: Req,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => Promise<void>;

/**
 * Express middleware that lets a request pass only within the policy. Refused ones get 429 as problem+json; all get the
 * rate limit headers, and a browser's preflight passes uncharged. Without `identify` the subject is the address of the
 * connection: behind a proxy pass `byIp({ trustedProxies })`. Errors of the limiter's caller (a cost above the limit) and
 * of `identify` go to `next`. Middleware that sets CORS headers belongs in front of it.
 * @example By address, behind proxies in 10.0.0.0/8
 * ```ts
 * app.use('/api', rateLimit({ limiter, policy: 'standard', identify: byIp({ trustedProxies: ['10.0.0.0/8'] }) }));
 * ```
 * @throws {LimiterInputError} at construction, when an option can't be used.
 */
export function rateLimit<Req extends IncomingMessage = IncomingMessage>(
  options: RateLimitOptions<Req>,
): RateLimitMiddleware<Req> {
  checkGuardOptions(options, ['onRefused', 'chargeIf']);
  const { onRefused, chargeIf, ...guarded } = options;
  return async (raw, response, next) => {
    let mayGoOn: boolean;
    try {
      mayGoOn = await limit(raw, response, next);
    } catch (error) {
      next(error);
      return;
    }
    if (mayGoOn) next();
  };

  async function limit(raw: Req, response: ServerResponse, next: (error?: unknown) => void): Promise<boolean> {
    const request = nodeRequest(raw);
    checkResponse(response);
    if (isPreflight(raw.method, request)) return true;
    const result = await limitRequest(request, guarded, { of: raw, once: raw });
    if (result.rateLimit !== undefined) Object.assign(raw, { rateLimit: result.rateLimit });
    return carryOut(result, response, {
      ...(chargeIf === undefined ? {} : { charge: { limiter: guarded.limiter, chargeIf: () => chargeIf(response) } }),
      ...(onRefused === undefined ? {} : { onRefused: (refusal) => void answer(refusal) }),
    });

    async function answer(refusal: Refusal): Promise<void> {
      try {
        await onRefused?.(raw, response, next, refusal);
      } catch (error) {
        next(error);
      }
    }
  }
}

export type { NodeRequest } from '../http/node-request.ts';
