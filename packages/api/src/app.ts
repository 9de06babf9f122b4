import { type AttemptBounds, boundedVerify, type CountRequest, type Verify } from './auth/bounds.ts';
import type { BreakerExchange } from '@spillway/breaker/exchange';
import type { ConnectionSource, Queryable } from '@spillway/db';
import type { Limiter } from '@spillway/limiter';
import { httpInstrumentationMiddleware } from '@hono/otel';
import type { MiddlewareHandler } from 'hono';
import { methodNotAllowed } from 'hono/method-not-allowed';
import { requestId } from 'hono/request-id';
import { secureHeaders } from 'hono/secure-headers';
import { deadLetterRoutes, replayRoute } from './dead-letter-routes.ts';
import { gapRoutes } from './audit/gap-routes.ts';
import { noRecorder, type Recorder, recorder } from './audit/recorder.ts';
import { admitBy, type Guard, guardWith } from './auth/require-scope.ts';
import { type Authenticator, type ApiApp, newApiApp, readableUrl } from './openapi/api-app.ts';
import { breakerRoutes, type BreakerControl } from './breakers/breaker-routes.ts';
import { commandRoutes } from './breakers/command-routes.ts';
import { type DashboardDeps, dashboardRoutes } from './dashboard/dashboard-routes.ts';
import { type Checks, describeHealth, livenessHandler, readinessHandler } from './health.ts';
import { consumeRoutes } from './limits/consume-routes.ts';
import type { Answers } from './limits/idempotency.ts';
import { lookUpRoute } from './limits/look-up-route.ts';
import { subjectRoutes } from './limits/subject-routes.ts';
import { type ApiLogger, requestLog } from './logger.ts';
import { describeSecurity, openApiDocument, docsPage } from './openapi/document.ts';
import { listRoutes } from './policies/list-routes.ts';
import { overrideRoutes } from './policies/override-routes.ts';
import { planAndPresetRoutes } from './policies/plans-and-presets.ts';
import { policyRoutes } from './policies/policy-routes.ts';
import { methodNotAllowedProblem, problem, toProblem } from './problems.ts';
import { boundedRequest } from './openapi/read-body.ts';
import {
  alertRoutes,
  blockRoutes,
  breakerEventRoutes,
  archivalRunRoutes,
  changeRoutes,
  sayHowFarBehind,
} from './audit/trail-routes.ts';
import type { ApiMetrics } from './telemetry.ts';
import { queueRoutes, type WorkerQueues } from './queues.ts';
import { maintenanceRoutes } from './maintenance-routes.ts';
import type { MaintenanceControl } from './maintenance-runs.ts';
import { keyRoutes } from './key-routes.ts';
import { metricRoutes } from './metric-routes.ts';

/** What the application works with. The routes of a part that is absent are not served. */
export interface ApiDeps {
  /** Made with `live` it can be changed here. */
  readonly limiter: Limiter;
  readonly checks: Checks;
  readonly logger: ApiLogger;
  /** Found by the trail in `db`, and moved by hand. */
  readonly breakers?: BreakerControl;
  /** Carries out what breakers of processes without Redis ask. */
  readonly exchange?: BreakerExchange;
  readonly maintenance?: MaintenanceControl;
  /** Served at `/metrics`. @default there is no such page */
  readonly metrics?: ApiMetrics;
  /** Keeps answers for retries with an `Idempotency-Key`. @default none are kept, and each answer says so */
  readonly answers?: Answers;
  /** `/metrics` is served elsewhere. @default false */
  readonly metricsElsewhere?: boolean;
  /** Makes a span of each request, except those that ask for health and metrics. @default false */
  readonly tracing?: boolean;
  /** Says whose key it is. Every route below /v1 and /functions/v1 that is ours asks it. */
  readonly authenticator: Authenticator;
  /** What is done for clients that can't prove who they are. @default all defaults */
  readonly attempts?: AttemptBounds;
  /** Counts the requests of each key, but not those for decisions and of breakers. @default they are not counted */
  readonly countRequest?: CountRequest;
  /** Where the trail, the metrics and the keys are. */
  readonly db?: ConnectionSource & Queryable;
  /** Where the lists of the trail are read; answers say how far behind it is. @default `db` */
  readonly reads?: Queryable;
  /** Called when a key was made or ended here. @default nothing */
  readonly onKeysChanged?: () => Promise<void>;
  /** Handlers of `(request) => Response` form to serve beside the API's own routes; they need no key. @default [] */
  readonly mount?: readonly MountedHandler[];
  /**
   * Serves `/dashboard`, and lets its sessions use the other routes too. Needs `db`, and reads its figures there unless it
   * has one of its own. @default there is no such page
   */
  readonly dashboard?: Pick<DashboardDeps, 'sessions' | 'ending' | 'everyMs' | 'streams'> &
    Partial<Pick<DashboardDeps, 'db'>>;
  /** Serves `/queues`, BullMQ's board of them. @default there is no such page */
  readonly queues?: Pick<WorkerQueues, 'audit' | 'maintenance'>;
  /** How long one dependency may take to prove that it is up, in ms. @default 1000 */
  readonly readyTimeoutMs?: number;
}

/**
 * The HTTP API as a Hono application; it needs no network to be tested (`app.request(…)`). Every answer from 400 on is
 * a problem document (RFC 9457). `/openapi.json` describes it and `/docs` shows that.
 * @example
 * ```ts
 * const app = createApp({ limiter, authenticator, checks: { redis: async () => void (await redis.ping()), postgres }, logger });
 * const response = await app.request('/healthz');
 * ```
 */
export function createApp(deps: ApiDeps): ApiApp {
  const { limiter, checks, logger, authenticator, mount = [], readyTimeoutMs = 1_000 } = deps;
  const app = newApiApp();
  const verify = boundedVerify(authenticator, deps.attempts);
  const admit = admitBy(verify, deps.dashboard?.sessions);
  const around = aroundRoutes(deps);
  // Before all middleware: see decisionRoute.
  consumeRoutes(app, { limiter, logger, admit, around, answers: deps.answers });
  app.use(
    requestId(),
    requestLog(logger),
    secureHeaders(),
    readableUrl,
    methodNotAllowed({ app, onMethodNotAllowed: (_, methods) => methodNotAllowedProblem(methods) }),
  );
  if (deps.metrics !== undefined) app.use(deps.metrics.countRequests);
  if (deps.tracing === true) app.use('/v1/*', httpInstrumentationMiddleware());
  app.notFound(() => problem('no-such-path', { detail: 'Nothing is served under this path.' }));
  app.onError((error, context) => {
    const response = toProblem(error);
    if (response.status >= 500) {
      logger.error({ err: error, requestId: context.get('requestId') }, 'api: a request failed');
    }
    return response;
  });

  if (deps.metrics !== undefined && deps.metricsElsewhere !== true) app.get('/metrics', deps.metrics.scrape);
  describeSecurity(app);
  describeHealth(app);
  app.get('/healthz', livenessHandler);
  app.get('/readyz', readinessHandler({ checks, timeoutMs: readyTimeoutMs, logger }));
  const guard = guardWith(admit, deps.countRequest);
  const record = deps.db === undefined ? noRecorder : recorder(deps.db);
  subjectRoutes(app, limiter, guard);
  optionalRoutes(app, deps, record, guard, verify);
  mountHandlers(app, mount);
  docsPage(app);
  // Made once, when every route is there.
  const document = openApiDocument(app);
  app.get('/openapi.json', (context) => context.json(document));
  return app;
}

/** What counts requests and makes spans of them. */
function aroundRoutes({ metrics, tracing }: ApiDeps): MiddlewareHandler[] {
  return [
    ...(metrics === undefined ? [] : [metrics.countRequests]),
    ...(tracing === true ? [httpInstrumentationMiddleware()] : []),
  ];
}

function optionalRoutes(
  app: ApiApp,
  deps: ApiDeps,
  record: Pick<Recorder, 'change'>,
  guard: Guard,
  verify: Verify,
): void {
  const { db, breakers, exchange, maintenance, onKeysChanged = async () => undefined } = deps;
  const { policies, live } = deps.limiter;
  if (live !== undefined) {
    policyRoutes(app, { policies, live }, guard);
    overrideRoutes(app, { policies, live }, guard);
    listRoutes(app, { live }, guard);
    planAndPresetRoutes(app, live, guard);
  }
  if (exchange !== undefined) commandRoutes(app, exchange, guard);
  if (deps.queues !== undefined) queueRoutes(app, deps.queues, guard);
  if (maintenance !== undefined) {
    maintenanceRoutes(app, { control: maintenance, record }, guard);
    replayRoute(app, { control: maintenance, record }, guard);
  }
  if (db === undefined) return;
  const { reads = db } = deps;
  if (deps.reads !== undefined) app.use('/v1/audit/*', sayHowFarBehind(deps.reads));
  for (const list of [
    alertRoutes,
    blockRoutes,
    breakerEventRoutes,
    archivalRunRoutes,
    changeRoutes,
    deadLetterRoutes,
  ]) {
    list(app, reads, guard);
  }
  lookUpRoute(app, { limiter: deps.limiter, db: reads }, guard);
  gapRoutes(app, { db, reads }, guard);
  if (breakers !== undefined) breakerRoutes(app, { db, control: breakers }, guard);
  metricRoutes(app, db, guard);
  const { dashboard, logger, authenticator } = deps;
  if (dashboard !== undefined)
    dashboardRoutes(app, {
      db,
      ...dashboard,
      tiers: [...deps.limiter.policies.keys()],
      logger,
      authenticator,
      verify,
      guard,
    });
  keyRoutes(app, { db, record: recorder(db), onChange: onKeysChanged }, guard);
}

/** A handler in the form of an edge function, and where it is served. */
export interface MountedHandler {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** A Hono path, such as `/functions/v1/generate-content`. */
  readonly path: string;
  readonly handle: (request: Request) => Promise<Response>;
}

/** Adds the handlers to an application. */
function mountHandlers(app: ApiApp, handlers: readonly MountedHandler[]): void {
  for (const { method, path, handle } of handlers) {
    app.on(method, path, async (context) => {
      const response = await handle(boundedRequest(context.req.raw));
      // The headers of a response that came from `fetch` can't be changed, and middleware adds some.
      return new Response(response.body, response);
    });
  }
}
