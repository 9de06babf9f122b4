import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import type { ApiLogger } from './logger.ts';
import type { ApiEnv } from './openapi/api-app.ts';

/**
 * One line for each request, with the id of the key that it came with. It names the route and not the path, because a path may hold anything, a key in the wrong
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
    logger.info(
      { requestId: id, method, route: routePath(context, -1), status: context.res.status, durationMs, ...principal },
      'api: request',
    );
  };
}
