import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { ChangeOf } from '../audit/recorder.ts';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp, ApiEnv } from '../openapi/api-app.ts';
import { members, oneOf, text } from '../openapi/fields.ts';
import { json, jsonBody, refusals } from '../openapi/responses.ts';
import { refusal, unknownThingProblem } from '../problems.ts';
import { readBody } from '../read-body.ts';
import { refuseEverybody, samePlace } from '../same-place.ts';
import { onCondition, type PolicyRouteDeps } from './policy-routes.ts';

const entry = text(1024).openapi({ example: '10.0.0.0/8' });
const verdict = oneOf(['allow', 'deny']);
const params = z.object({ entry });
const named = z.object({ entry, verdict }).openapi('ListEntry');
const namedRequest = members({ entry, verdict }).openapi('ListEntryRequest');
const body = members({ entry: entry.optional(), verdict }).openapi('ListRequest');
const lists = z.object({ allowed: z.array(z.string()), denied: z.array(z.string()) }).openapi('Lists');

const path = '/v1/lists/{entry}';
const what = `A subject, a pattern such as org-7:*, an address or a network. ${onCondition}`;

/** What the routes work with. */
export type ListRouteDeps = Pick<PolicyRouteDeps, 'live' | 'record'>;

/** The change of an entry, with the list that it is on before it. */
async function changeOf({ live }: ListRouteDeps, at: string): Promise<Omit<ChangeOf, 'action'>> {
  const { allowed, denied } = await live.list();
  const before = allowed.includes(at) ? 'allow' : denied.includes(at) ? 'deny' : undefined;
  return { objectKind: 'list', object: at, before };
}

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
    responses: { 200: json(lists, 'Both lists.'), ...refusals(401, 403, 503) },
  });
  app.openapi(all, async (context) => {
    const { allowed, denied } = await deps.live.list();
    return context.json({ allowed: [...allowed], denied: [...denied] }, 200);
  });

  const one = createRoute({
    method: 'get',
    path,
    tags: ['policies'],
    operationId: 'getListEntry',
    summary: 'Which list an entry is on',
    ...guard('read'),
    request: { params },
    responses: { 200: json(named, 'The entry.'), ...refusals(400, 401, 403, 404, 503) },
  });
  app.openapi(one, async (context) => {
    const { entry: asked } = context.req.valid('param');
    const { allowed, denied } = await deps.live.list();
    if (allowed.includes(asked)) return context.json({ entry: asked, verdict: 'allow' as const }, 200);
    if (denied.includes(asked)) return context.json({ entry: asked, verdict: 'deny' as const }, 200);
    throw refusal(unknownThingProblem('entry'));
  });
}

function setRoutes(app: ApiApp, deps: ListRouteDeps, guard: Guard): void {
  const { middleware, security } = guard('operate');
  const common = { tags: ['policies'], security, middleware: [middleware, readBody()] };
  const responses = { 204: { description: 'It holds.' }, ...refusals(400, 401, 403, 413, 415, 503) };
  const set = async (context: Context<ApiEnv>, at: string, as: 'allow' | 'deny'): Promise<void> => {
    refuseEverybody('entry', at);
    const change = { ...(await changeOf(deps, at)), action: as, after: as };
    await deps.record.change(context, change, () => (as === 'allow' ? deps.live.allow(at) : deps.live.deny(at)));
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
    const { entry: at, verdict: as } = context.req.valid('json');
    await set(context, at, as);
    return context.body(null, 204);
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
    const { entry: at } = samePlace(context.req.valid('json'), context.req.valid('param'));
    await set(context, at, context.req.valid('json').verdict);
    return context.body(null, 204);
  });
}

function removeRoutes(app: ApiApp, deps: ListRouteDeps, guard: Guard): void {
  const common = { tags: ['policies'], summary: 'Take an entry off both lists', ...guard('operate') };
  const responses = { 204: { description: 'Taken off.' }, ...refusals(400, 401, 403, 404, 503) };
  const remove = async (context: Context<ApiEnv>, at: string): Promise<void> => {
    const change = { ...(await changeOf(deps, at)), action: 'unlist' };
    await deps.record.change(context, change, async () => {
      if (!(await deps.live.unlist(at))) throw refusal(unknownThingProblem('entry'));
    });
  };
  const inQuery = createRoute({
    ...common,
    method: 'delete',
    path: '/v1/lists',
    operationId: 'removeListEntryInQuery',
    request: { query: members({ entry }) },
    responses,
  });
  app.openapi(inQuery, async (context) => {
    await remove(context, context.req.valid('query').entry);
    return context.body(null, 204);
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
    await remove(context, context.req.valid('param').entry);
    return context.body(null, 204);
  });
}
