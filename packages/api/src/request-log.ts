import type { MiddlewareHandler } from 'hono';
import { routePath } from 'hono/route';
import type { ApiLogger } from './logger.ts';

/**
 * One line for each request. It names the route and not the path, because a path may hold anything, a key in the wrong
 * place included; headers and query are left out for the same reason.
 */
export function requestLog(logger: ApiLogger): MiddlewareHandler {
  return async (context, next) => {
    const startedAt = performance.now();
    await next();
    const id = context.get('requestId');
    // A handler that returns a Response of its own making drops the headers that were set before it.
    if (!context.res.headers.has('X-Request-Id')) context.header('X-Request-Id', id);
    const durationMs = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
    const { method } = context.req;
    logger.info(
      { requestId: id, method, route: routePath(context, -1), status: context.res.status, durationMs },
      'api: request',
    );
  };
}
