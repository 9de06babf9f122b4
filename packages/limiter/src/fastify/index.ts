import type { FastifyReply, FastifyRequest } from 'fastify';
import { checkGuardOptions, type GuardOptions, type RateLimitInfo, type Refusal } from '../http/guard-options.ts';
import { ALL_HEADERS, EXPOSE_HEADERS, exposeHeaders, isPreflight } from '../http/headers.ts';
import { limitRequest } from '../http/limit-request.ts';
import { type NodeRequest, nodeRequest, refundAfter, releaseAfter } from '../http/node-request.ts';
import { PROBLEM_TYPE, problemBody } from '../http/problem.ts';

/** Options of {@link rateLimit}: which policy to check, for whom. `raw` is Fastify's request. */
export interface RateLimitOptions extends GuardOptions<NodeRequest<FastifyRequest>, FastifyRequest> {
  /**
   * Your own answer to a refused request: what it gives is sent, unless it sends itself. Status and rate limit headers are
   * set already. @default problem+json
   */
  readonly onRefused?: (request: FastifyRequest, reply: FastifyReply, refusal: Refusal) => unknown;
  /**
   * Whether a request counts, asked when its answer has been sent. One that doesn't gets its units back. An answer that was cut
   * off counts. @default all count
   */
  readonly chargeIf?: (reply: FastifyReply) => boolean | Promise<boolean>;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** What `rateLimit` decided; absent for a request that it skipped. */
    rateLimit?: RateLimitInfo;
  }
}

/** A hook for `onRequest`, `preValidation` or `preHandler`. */
export type RateLimitHook = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>;

/**
 * Fastify hook that lets a request pass only within the policy, for a whole scope or for one route. Refused ones get 429
 * as problem+json; all get the rate limit headers, and a browser's preflight passes uncharged. Without `identify` the
 * subject is the address of the connection: behind a proxy pass `byIp({ trustedProxies })`.
 * @example
 * ```ts
 * app.addHook('onRequest', rateLimit({ limiter, policy: 'standard' }));
 * app.post('/exports', { onRequest: rateLimit({ limiter, policy: 'strict' }) }, handler);
 * ```
 * @throws {LimiterInputError} at construction, when an option can't be used.
 */
export function rateLimit(options: RateLimitOptions): RateLimitHook {
  checkGuardOptions(options, ['onRefused', 'chargeIf']);
  const { onRefused, chargeIf, ...guarded } = options;
  return async (raw, reply) => {
    const request = nodeRequest(raw);
    if (isPreflight(raw.method, request)) return undefined;
    const result = await limitRequest(request, guarded, { of: raw, once: raw });
    if (result.rateLimit !== undefined) raw.rateLimit = result.rateLimit;
    if (result.kind === 'pass' && result.slots !== undefined) releaseAfter(reply.raw, result.slots.keep());
    if (result.kind === 'pass' && chargeIf !== undefined) {
      refundAfter(reply.raw, result.refund, { limiter: guarded.limiter, chargeIf: () => chargeIf(reply) });
    }
    if (reply.sent) return reply;
    if (result.kind === 'refused') for (const name of ALL_HEADERS) reply.removeHeader(name);
    reply.headers(result.headers);
    if (result.exposed.length > 0) {
      reply.header(EXPOSE_HEADERS, exposeHeaders(reply.getHeader(EXPOSE_HEADERS)?.toString(), result.exposed));
    }
    if (result.kind === 'pass') return undefined;
    const { problem, rateLimit: decided } = result;
    reply.code(problem.status);
    if (onRefused === undefined) return reply.type(PROBLEM_TYPE).send(problemBody(problem));
    const answer = await onRefused(raw, reply, decided === undefined ? { problem } : { problem, rateLimit: decided });
    return reply.sent ? reply : reply.send(answer);
  };
}

export type { NodeRequest } from '../http/node-request.ts';
