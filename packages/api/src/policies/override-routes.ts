import { createRoute, z } from '@hono/zod-openapi';
import { MAX_BLOCK_MS, MAX_LIMIT, MAX_WINDOW_MS, type Override } from '@spillway/limiter';
import type { Guard } from '../auth/require-scope.ts';
import { given } from '../given.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { members, oneOf, subject, wholeNumber } from '../openapi/fields.ts';
import { json, jsonBody, refusals } from '../openapi/responses.ts';
import { refusal, unknownThingProblem } from '../problems.ts';
import { readBody } from '../read-body.ts';
import { findShown, type PolicyRouteDeps } from './policy-routes.ts';
import { policyName } from './policy-schema.ts';

const params = z.object({ policy: policyName, subject });

const numbers = {
  limit: wholeNumber(1, MAX_LIMIT).optional(),
  windowMs: wholeNumber(1, MAX_WINDOW_MS).optional(),
  blockMs: wholeNumber(0, MAX_BLOCK_MS).optional(),
  mode: oneOf(['enforce', 'shadow']).optional(),
};
const body = members(numbers).openapi('OverrideRequest', { description: 'What is left out is as the policy says.' });

const shown: z.ZodType<Override> = z.custom<Override>().openapi('Override', {
  type: 'object',
  required: ['policy', 'subject'],
  properties: {
    policy: { type: 'string' },
    subject: { type: 'string', description: 'A subject, or a pattern in which `*` stands for any characters.' },
    limit: { type: 'integer' },
    windowMs: { type: 'integer' },
    blockMs: { type: 'integer' },
    mode: { type: 'string', enum: ['enforce', 'shadow'] },
  },
});

const path = '/v1/policies/{policy}/overrides/{subject}';

/** `/v1/policies/{policy}/overrides`: other numbers for some subjects. */
export function overrideRoutes(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  const list = createRoute({
    method: 'get',
    path: '/v1/policies/{policy}/overrides',
    tags: ['policies'],
    operationId: 'listOverrides',
    summary: 'All exceptions from a policy',
    ...guard('read'),
    request: { params: z.object({ policy: policyName }) },
    responses: { 200: json(z.object({ overrides: z.array(shown) }), 'All.'), ...refusals(400, 401, 403, 404, 503) },
  });
  app.openapi(list, async (context) => {
    const { name } = await findShown(deps, context.req.valid('param').policy);
    const overrides = (await deps.live.list()).overrides.filter(({ policy }) => policy === name);
    return context.json({ overrides }, 200);
  });

  const { middleware, security } = guard('admin');
  const put = createRoute({
    method: 'put',
    path,
    tags: ['policies'],
    operationId: 'setOverride',
    summary: 'Give a subject, or all that fit a pattern such as org-7:*, other numbers',
    description: 'What they used stays used. A subject with a slash in it is sent as %2F.',
    security,
    middleware: [middleware, readBody()],
    request: { params, body: jsonBody(body) },
    responses: { 200: json(shown, 'As it is now.'), ...refusals(400, 401, 403, 404, 413, 415, 503) },
  });
  app.openapi(put, async (context) => {
    const place = context.req.valid('param');
    await findShown(deps, place.policy);
    const override = { ...place, ...given(context.req.valid('json')) };
    await deps.live.setOverride(override);
    return context.json(override, 200);
  });

  const remove = createRoute({
    method: 'delete',
    path,
    tags: ['policies'],
    operationId: 'removeOverride',
    summary: 'Let the policy count for them again',
    ...guard('admin'),
    request: { params },
    responses: { 204: { description: 'Removed.' }, ...refusals(400, 401, 403, 404, 503) },
  });
  app.openapi(remove, async (context) => {
    if (!(await deps.live.removeOverride(context.req.valid('param')))) throw refusal(unknownThingProblem('override'));
    return context.body(null, 204);
  });
}
