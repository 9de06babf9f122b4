import type { FastifyReply, FastifyRequest } from 'fastify';
import { EXPOSE_HEADERS, exposeHeaders } from '../http/expose-headers.ts';
import { ALL_HEADERS } from '../http/headers.ts';
import { checkGuardOptions, type GuardOptions, judge } from '../http/judge.ts';
import { type NodeRequest, nodeRequest, releaseAfter } from '../http/node-request.ts';
import { isPreflight } from '../http/preflight.ts';
import { PROBLEM_TYPE, problemBody } from '../http/problem.ts';

/** Options of {@link rateLimit}: which policy to check, for whom. `raw` is Fastify's request. */
export type RateLimitOptions = GuardOptions<NodeRequest<FastifyRequest>>;

/** A hook for `onRequest`, `preValidation` or `preHandler`. */
export type RateLimitHook = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>;

/**
 * Fastify hook that lets a request pass only within the policy, for a whole scope or for one route. Refused ones get 429
 * as problem+json; all get the rate limit headers, and a browser's preflight passes uncharged. Without `identify` the
 * address of the connection is asking: behind a proxy give `byIp({ trustedProxies })`.
 * @example
 * ```ts
 * app.addHook('onRequest', rateLimit({ limiter, policy: 'standard' }));
 * app.post('/exports', { onRequest: rateLimit({ limiter, policy: 'strict' }) }, handler);
 * ```
 * @throws {LimiterInputError} at construction, when an option can't be used.
 */
export function rateLimit(options: RateLimitOptions): RateLimitHook {
  checkGuardOptions(options);
  return async (raw, reply) => {
    const request = nodeRequest(raw);
    if (isPreflight(raw.method, request)) return undefined;
    const verdict = await judge(request, options, { once: raw });
    if (verdict.kind === 'pass' && verdict.slots !== undefined) releaseAfter(reply.raw, verdict.slots.keep());
    if (reply.sent) return reply;
    if (verdict.kind === 'refused') for (const name of ALL_HEADERS) reply.removeHeader(name);
    reply.headers(verdict.headers);
    if (verdict.exposed.length > 0) {
      reply.header(EXPOSE_HEADERS, exposeHeaders(reply.getHeader(EXPOSE_HEADERS)?.toString(), verdict.exposed));
    }
    if (verdict.kind === 'pass') return undefined;
    return reply.code(verdict.problem.status).type(PROBLEM_TYPE).send(problemBody(verdict.problem));
  };
}

export type { NodeRequest } from '../http/node-request.ts';
