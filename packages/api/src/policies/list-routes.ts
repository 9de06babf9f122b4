import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp, ApiEnv } from '../openapi/api-app.ts';
import { strictObject, milliseconds, enumOf, boundedText, why } from '../openapi/fields.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { problemException, unknownThingProblem } from '../problems.ts';
import { readBody } from '../read-body.ts';
import { refuseEverybody, samePlace } from '../same-place.ts';
import { byHand } from '../audit/recorder.ts';
import { finite } from '../limits/decision-json.ts';
import { onCondition, type PolicyRouteDeps } from './policy-routes.ts';
import { type Reach, reachIgnored, reachOf, reachSchema } from '../reach.ts';

const entry = boundedText(1024).openapi({ example: '10.0.0.0/8' });
const verdict = enumOf(['allow', 'deny']);
const params = z.object({ entry });
const named = z.object({ entry, verdict }).openapi('ListEntry');
const namedRequest = strictObject({ entry, verdict, why, ...reachIgnored }).openapi('ListEntryRequest');
const body = strictObject({ entry: entry.optional(), verdict, why, ...reachIgnored }).openapi('ListRequest');
const blocked = z.object({
  subject: z.string(),
  blockedUntil: milliseconds.openapi({ description: 'null = until it is unblocked.' }),
});
const lists = z
  .object({
    allowed: z.array(z.string()),
    denied: z.array(z.string()),
    blocked: z
      .array(blocked)
      .openapi({ description: 'Subjects that are blocked everywhere: POST /v1/subjects/block.' }),
  })
  .openapi('Lists');

const path = '/v1/lists/{entry}';
const what = `A subject, a pattern such as org-7:*, an address or a network. ${onCondition}`;

/** What the routes work with. */
export type ListRouteDeps = Pick<PolicyRouteDeps, 'live'>;

/** `/v1/lists`: who is always admitted, and who always refused, whatever the policy. */
export function listRoutes(app: ApiApp, deps: ListRouteDeps, guard: Guard): void {
  readRoutes(app, deps, guard);
  setRoutes(app, deps, guard);
  removeRoutes(app, deps, guard);
}

function readRoutes(app: ApiApp, deps: ListRouteDeps, guard: Guard): void {
  const all = createRoute({
    method: 'get',
    path: '/v1/lists',
    tags: ['policies'],
    operationId: 'getLists',
    summary: 'Subjects, patterns and networks that are always admitted or always refused',
    ...guard('read'),
    responses: { 200: json(lists, 'Both lists, and who is blocked everywhere.'), ...problemResponses(401, 403, 503) },
  });
  app.openapi(all, async (context) => {
    const entries = await deps.live.list();
    const blocks = entries.blocked.map((block) => ({
      ...block,
      blockedUntil: finite(block.blockedUntil),
    }));
    return context.json({ allowed: [...entries.allowed], denied: [...entries.denied], blocked: blocks }, 200);
  });

  const one = createRoute({
    method: 'get',
    path,
    tags: ['policies'],
    operationId: 'getListEntry',
    summary: 'Which list an entry is on',
    ...guard('read'),
    request: { params },
    responses: { 200: json(named, 'The entry.'), ...problemResponses(400, 401, 403, 404, 503) },
  });
  app.openapi(one, async (context) => {
    const { entry: asked } = context.req.valid('param');
    const { allowed, denied } = await deps.live.list();
    if (allowed.includes(asked)) return context.json({ entry: asked, verdict: 'allow' as const }, 200);
    if (denied.includes(asked)) return context.json({ entry: asked, verdict: 'deny' as const }, 200);
    throw problemException(unknownThingProblem('entry'));
  });
}

function setRoutes(app: ApiApp, deps: ListRouteDeps, guard: Guard): void {
  const { middleware, security } = guard('operate');
  const common = { tags: ['policies'], security, middleware: [middleware, readBody()] };
  const responses = {
    200: json(named.and(reachSchema), 'It holds.'),
    ...problemResponses(400, 401, 403, 413, 415, 503),
  };
  const set = async (
    context: Context<ApiEnv>,
    at: string,
    { verdict: as, why: reason }: Pick<z.output<typeof body>, 'verdict' | 'why'>,
  ): Promise<z.output<typeof named> & Reach> => {
    refuseEverybody('entry', at);
    const by = byHand(context, reason);
    const change = await (as === 'allow' ? deps.live.allow(at, by) : deps.live.deny(at, by));
    return { entry: at, verdict: as, ...reachOf(change) };
  };
  const inBody = createRoute({
    ...common,
    method: 'put',
    path: '/v1/lists',
    operationId: 'setListEntryInBody',
    summary: 'Put an entry on a list, and off the other; the body names it',
    description: what,
    request: { body: jsonBody(namedRequest) },
    responses,
  });
  app.openapi(inBody, async (context) => {
    const rules = context.req.valid('json');
    return context.json(await set(context, rules.entry, rules), 200);
  });

  const inPath = createRoute({
    ...common,
    method: 'put',
    path,
    operationId: 'setListEntry',
    summary: 'Put an entry on a list, and off the other',
    description: what,
    request: { params, body: jsonBody(body) },
    responses,
  });
  app.openapi(inPath, async (context) => {
    const rules = context.req.valid('json');
    const { entry: at } = samePlace(rules, context.req.valid('param'));
    return context.json(await set(context, at, rules), 200);
  });
}

function removeRoutes(app: ApiApp, deps: ListRouteDeps, guard: Guard): void {
  const common = { tags: ['policies'], summary: 'Take an entry off both lists', ...guard('operate') };
  const responses = { 200: json(reachSchema, 'Taken off.'), ...problemResponses(400, 401, 403, 404, 503) };
  const remove = async (context: Context<ApiEnv>, at: string): Promise<Reach> => {
    const change = await deps.live.unlist(at, byHand(context));
    if (!change.existed) throw problemException(unknownThingProblem('entry'));
    return reachOf(change);
  };
  const inQuery = createRoute({
    ...common,
    method: 'delete',
    path: '/v1/lists',
    operationId: 'removeListEntryInQuery',
    request: { query: strictObject({ entry }) },
    responses,
  });
  app.openapi(inQuery, async (context) => {
    return context.json(await remove(context, context.req.valid('query').entry), 200);
  });

  const inPath = createRoute({
    ...common,
    method: 'delete',
    path,
    operationId: 'removeListEntry',
    request: { params },
    responses,
  });
  app.openapi(inPath, async (context) => {
    return context.json(await remove(context, context.req.valid('param').entry), 200);
  });
}
