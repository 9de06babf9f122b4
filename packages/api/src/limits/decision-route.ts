import type { z } from '@hono/zod-openapi';
import { type Limiter, type Policy, policyFor } from '@spillway/limiter';
import type { Context, MiddlewareHandler } from 'hono';
import type { Admit } from '../auth/require-scope.ts';
import { type ApiLogger, logRequest } from '../logger.ts';
import type { ApiApp, ApiEnv } from '../openapi/api-app.ts';
import { badRequestProblem, toProblem, problemException, unknownPolicyProblem } from '../problems.ts';
import { readJson } from '../openapi/read-body.ts';
import { type Answers, idempotencyKeyOf, once } from './idempotency.ts';
import { quoted, toFieldErrors } from '../openapi/fields.ts';

/** What the routes of decisions work with. */
export interface DecisionDeps {
  readonly limiter: Limiter;
  readonly logger: ApiLogger;
  readonly admit: Admit;
  /** Keeps the answers of requests with an `Idempotency-Key`. @default none are kept, and their answers say so */
  readonly answers?: Answers | undefined;
  /** Runs around each of these routes: counters and spans. */
  readonly around: readonly MiddlewareHandler<ApiEnv>[];
}

/** One route of decisions. */
interface DecisionRoute<Body> {
  /** As OpenAPI has it; its path and its `request.body` are what is served. */
  readonly description: Parameters<ApiApp['openAPIRegistry']['registerPath']>[0];
  readonly schema: z.ZodType<Body>;
  /** Whether a second request does more than the first: it heeds an `Idempotency-Key`. */
  readonly charges: boolean;
  /** @returns what is sent as JSON with 200; undefined: 204. @throws what `toProblem` knows */
  handle(body: Body, policy: string, context: Context<ApiEnv>): Promise<DecisionAnswer>;
}

/** What a decision route sends: text that is JSON, and headers of its own. */
interface DecisionAnswer {
  readonly json?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Serves a POST route of JSON that needs the scope `decide`, without the middleware of the other routes: these are asked
 * thousands of times a second. In order: who asks, the body, its schema, the handler; then one answer, whose headers are a
 * plain object, because a `Headers` costs as much as the decision. It must be added before any middleware of the application.
 */
export function decisionRoute<Body>(app: ApiApp, deps: DecisionDeps, route: DecisionRoute<Body>): void {
  app.openAPIRegistry.registerPath(route.description);
  const path = route.description.path.replaceAll(/\{(\w+)\}/g, ':$1');
  const admit = deps.admit('decide');

  const answer = async (context: Context<ApiEnv>): Promise<Response | DecisionAnswer> => {
    const refused = await admit(context);
    if (refused !== undefined) return refused;
    if (context.req.url.includes('?')) return queryRefused(context.req.query());
    const read = await readJson(context.req);
    if (read instanceof Response) return read;
    const body = route.schema.safeParse(read.value);
    if (!body.success) return badRequestProblem(toFieldErrors(body.error.issues, 'json'));
    const policy = context.req.param('policy') ?? '';
    const key = route.charges ? idempotencyKeyOf(context.req) : undefined;
    if (key === undefined) return route.handle(body.data, policy, context);
    if (key instanceof Response) return key;
    const content = JSON.stringify([route.description.path, policy, body.data]);
    const work = async (): Promise<string> => (await route.handle(body.data, policy, context)).json ?? '';
    return once(deps.answers, { key, principal: context.get('principal'), content }, work);
  };

  app.on('POST', [path], ...deps.around, async (context) => {
    const startedAt = performance.now();
    const requestId = requestIdOf(context);
    context.set('requestId', requestId);
    let response: Response;
    try {
      const result = await answer(context);
      response = result instanceof Response ? withHeaders(result, requestId) : responseOf(result, requestId);
    } catch (error) {
      const problem = toProblem(error);
      if (problem.status >= 500) {
        deps.logger.error({ err: error, requestId }, 'api: a request failed');
      }
      response = withHeaders(problem, requestId);
    }
    logRequest(deps.logger, { context, route: path, status: response.status, startedAt, requestId, isDecision: true });
    return response;
  });
}

/** These routes have no parameters: one that is ignored would be taken for one that is heeded. */
function queryRefused(query: Readonly<Record<string, string>>): Response {
  const names = Object.keys(query);
  const errors = (names.length === 0 ? ['query'] : names.slice(0, 10)).map((name) => ({
    field: quoted(name),
    detail: 'is not known here',
  }));
  return badRequestProblem(errors);
}

/** The client's own, if it is one. */
function requestIdOf(context: Context<ApiEnv>): string {
  const given = context.req.header('X-Request-Id');
  return given !== undefined && /^[\w=-]{1,255}$/u.test(given) ? given : crypto.randomUUID();
}

function headersOf(requestId: string): Record<string, string> {
  return { 'X-Request-Id': requestId, 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' };
}

function responseOf({ json, headers }: DecisionAnswer, requestId: string): Response {
  const all = { ...headersOf(requestId), ...headers };
  if (json === undefined) return new Response(null, { status: 204, headers: all });
  return new Response(json, { status: 200, headers: { 'Content-Type': 'application/json', ...all } });
}

function withHeaders(response: Response, requestId: string): Response {
  for (const [name, value] of Object.entries(headersOf(requestId))) response.headers.set(name, value);
  return response;
}

/** The policy that a path names, as it holds for a subject now. @throws {HTTPException} that becomes a 404 */
export function findPolicy(limiter: Limiter, name: string, subject: string): Policy {
  const policy = policyFor(limiter, name, subject);
  if (policy === undefined) throw problemException(unknownPolicyProblem(limiter.policies.keys()));
  return policy;
}
