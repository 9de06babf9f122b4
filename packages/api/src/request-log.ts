import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import type { ApiLogger } from './logger.ts';
import type { ApiEnv } from './openapi/api-app.ts';

/** What load balancers and scrapers ask, every few seconds. */
const probes: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

/** Decisions: thousands a second. */
const decisions: ReadonlySet<string> = new Set(['/v1/limits/:policy/consume', '/v1/limits/:policy/peek']);

/** A decision that takes longer is worth a line, in ms. */
const SLOW_MS = 1_000;

/**
 * One line for each request, with the id of the key that it came with: at `debug` for decisions that went well and for
 * probes, else at `info`. It names the route and not the path, because a path may hold anything, a key in the wrong
 * place included; headers and query are left out for the same reason.
 */
export function requestLog(logger: ApiLogger): MiddlewareHandler<ApiEnv> {
  return async (context, next) => {
    const startedAt = performance.now();
    await next();
    const id = context.get('requestId');
    // A handler that returns a Response of its own making drops the headers that were set before it.
    if (!context.res.headers.has('X-Request-Id')) context.header('X-Request-Id', id);
    const durationMs = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
    const { method } = context.req;
    const who = context.get('principal');
    // A token's subject may be a person, a key's id is none.
    const principal = who?.kind === 'api-key' ? { principal: who.id } : {};
    const route = routePath(context, -1);
    const { status } = context.res;
    // A probe that fails has a line of its own when that begins.
    const isQuiet = probes.has(route) || (decisions.has(route) && status < 400 && durationMs < SLOW_MS);
    const line = { requestId: id, method, route, status, durationMs, ...principal };
    if (isQuiet) logger.debug(line, 'api: request');
    else logger.info(line, 'api: request');
  };
}
