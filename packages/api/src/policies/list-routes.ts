import { createRoute, z } from '@hono/zod-openapi';
import type { LivePolicies } from '@spillway/limiter';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { members, oneOf, text } from '../openapi/fields.ts';
import { json, jsonBody, refusals } from '../openapi/responses.ts';
import { refusal, unknownThingProblem } from '../problems.ts';
import { readBody } from '../read-body.ts';

const params = z.object({ entry: text(1024).openapi({ example: '10.0.0.0/8' }) });
const body = members({ verdict: oneOf(['allow', 'deny']) }).openapi('ListRequest');
const lists = z.object({ allowed: z.array(z.string()), denied: z.array(z.string()) }).openapi('Lists');

const path = '/v1/lists/{entry}';

/** `/v1/lists`: who is always admitted, and who always refused, whatever the policy. */
export function listRoutes(app: ApiApp, live: LivePolicies, guard: Guard): void {
  const get = createRoute({
    method: 'get',
    path: '/v1/lists',
    tags: ['policies'],
    operationId: 'getLists',
    summary: 'Subjects, patterns and networks that are always admitted or always refused',
    ...guard('read'),
    responses: { 200: json(lists, 'Both lists.'), ...refusals(401, 403, 503) },
  });
  app.openapi(get, async (context) => {
    const { allowed, denied } = await live.list();
    return context.json({ allowed: [...allowed], denied: [...denied] }, 200);
  });

  const { middleware, security } = guard('admin');
  const put = createRoute({
    method: 'put',
    path,
    tags: ['policies'],
    operationId: 'setListEntry',
    summary: 'Put an entry on a list, and off the other',
    description: 'A subject, a pattern such as org-7:*, an address or a network. A slash in it is sent as %2F.',
    security,
    middleware: [middleware, readBody()],
    request: { params, body: jsonBody(body) },
    responses: { 204: { description: 'It holds.' }, ...refusals(400, 401, 403, 413, 415, 503) },
  });
  app.openapi(put, async (context) => {
    const { entry } = context.req.valid('param');
    await (context.req.valid('json').verdict === 'allow' ? live.allow(entry) : live.deny(entry));
    return context.body(null, 204);
  });

  const remove = createRoute({
    method: 'delete',
    path,
    tags: ['policies'],
    operationId: 'removeListEntry',
    summary: 'Take an entry off both lists',
    ...guard('admin'),
    request: { params },
    responses: { 204: { description: 'Taken off.' }, ...refusals(400, 401, 403, 404, 503) },
  });
  app.openapi(remove, async (context) => {
    if (!(await live.unlist(context.req.valid('param').entry))) throw refusal(unknownThingProblem('entry'));
    return context.body(null, 204);
  });
}
