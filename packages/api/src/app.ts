import type { Limiter } from '@spillway/limiter';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { methodNotAllowed } from 'hono/method-not-allowed';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { consumeHandler } from './consume/consume.ts';
import { type Checks, livenessHandler, readinessHandler } from './health.ts';
import type { ApiLogger } from './logger.ts';
import { type MountedHandler, mountHandlers } from './mount.ts';
import { methodNotAllowedProblem, notFoundProblem, tooLargeProblem, toProblem } from './problems.ts';
import type { ApiMetrics } from './prometheus/api-metrics.ts';
import { requestLog } from './request-log.ts';

/** What the application works with. */
export interface ApiDeps {
  readonly limiter: Limiter;
  readonly checks: Checks;
  readonly logger: ApiLogger;
  /** Served at `/metrics`. @default there is no such page */
  readonly metrics?: ApiMetrics;
  /** Handlers of `(request) => Response` form to serve beside the API's own routes. @default [] */
  readonly mount?: readonly MountedHandler[];
  /** How long one dependency may take to prove that it is up, in ms. @default 1000 */
  readonly readyTimeoutMs?: number;
}

/** The largest request body, in bytes. The longest valid one is far below it. */
const MAX_BODY_BYTES = 16 * 1024;

/**
 * The HTTP API as a Hono application; it needs no network to be tested (`app.request(…)`). Every answer from 400 on is
 * a problem document (RFC 9457).
 * @example
 * ```ts
 * const app = createApp({ limiter, checks: { redis: async () => void (await redis.ping()), postgres }, logger });
 * const response = await app.request('/healthz');
 * ```
 */
export function createApp(deps: ApiDeps): Hono {
  const { limiter, checks, logger, mount = [], readyTimeoutMs = 1_000 } = deps;
  const app = new Hono();
  app.use(
    requestId(),
    requestLog(logger),
    secureHeaders(),
    methodNotAllowed({ app, onMethodNotAllowed: (_, methods) => methodNotAllowedProblem(methods) }),
    bodyLimit({ maxSize: MAX_BODY_BYTES, onError: () => tooLargeProblem(MAX_BODY_BYTES) }),
  );
  if (deps.metrics !== undefined) app.use(deps.metrics.countRequests);
  app.notFound(notFoundProblem);
  app.onError((error, context) => {
    const problem = toProblem(error);
    if (problem.status >= 500) {
      logger.error({ err: error, requestId: context.get('requestId') }, 'api: a request failed');
    }
    return problem;
  });

  if (deps.metrics !== undefined) app.get('/metrics', deps.metrics.scrape);
  app.get('/healthz', livenessHandler);
  app.get('/readyz', readinessHandler({ checks, timeoutMs: readyTimeoutMs, logger }));
  app.post('/v1/limits/:policy/consume', consumeHandler(limiter));
  mountHandlers(app, mount);
  return app;
}
