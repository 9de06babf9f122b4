import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { MAX_BLOCK_MS, MAX_LIMIT, MAX_WINDOW_MS, type Override } from '@spillway/limiter';
import { byHand } from '../audit/recorder.ts';
import type { Guard } from '../auth/require-scope.ts';
import { omitUndefined } from '../omit-undefined.ts';
import type { ApiApp, ApiEnv } from '../openapi/api-app.ts';
import { strictObject, enumOf, subject, wholeNumber } from '../openapi/fields.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { problemException, unknownThingProblem } from '../problems.ts';
import { readBody } from '../read-body.ts';
import { refuseEverybody, samePlace } from '../same-place.ts';
import { findPolicyView, onCondition, type PolicyRouteDeps } from './policy-routes.ts';
import { policyName } from './policy-schema.ts';
import { type Reach, reachIgnored, reachOf, reachSchema } from '../reach.ts';

const params = z.object({ policy: policyName, subject });

const numbers = {
  limit: wholeNumber(1, MAX_LIMIT).optional(),
  windowMs: wholeNumber(1, MAX_WINDOW_MS).optional(),
  blockMs: wholeNumber(0, MAX_BLOCK_MS).optional(),
  mode: enumOf(['enforce', 'shadow']).optional(),
};
const description = 'What is left out is as the policy says.';
const body = strictObject({
  ...numbers,
  ...reachIgnored,
  policy: policyName.optional(),
  subject: subject.optional(),
}).openapi('OverrideRequest', { description });
const namedBody = strictObject({ ...numbers, ...reachIgnored, policy: policyName.optional(), subject }).openapi(
  'NamedOverrideRequest',
  {
    description,
  },
);

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

const collection = '/v1/policies/{policy}/overrides';

/** `/v1/policies/{policy}/overrides`: other numbers for some subjects. */
export function overrideRoutes(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  readRoutes(app, deps, guard);
  setRoutes(app, deps, guard);
  removeRoutes(app, deps, guard);
}

function readRoutes(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  const of = async (policy: string): Promise<readonly Override[]> => {
    const { name } = await findPolicyView(deps, policy);
    return (await deps.live.list()).overrides.filter((override) => override.policy === name);
  };
  const list = createRoute({
    method: 'get',
    path: collection,
    tags: ['policies'],
    operationId: 'listOverrides',
    summary: 'All exceptions from a policy',
    ...guard('read'),
    request: { params: z.object({ policy: policyName }) },
    responses: {
      200: json(z.object({ overrides: z.array(shown) }), 'All.'),
      ...problemResponses(400, 401, 403, 404, 503),
    },
  });
  app.openapi(list, async (context) =>
    context.json({ overrides: [...(await of(context.req.valid('param').policy))] }, 200),
  );

  const one = createRoute({
    method: 'get',
    path,
    tags: ['policies'],
    operationId: 'getOverride',
    summary: 'One exception, as it can be sent back',
    ...guard('read'),
    request: { params },
    responses: { 200: json(shown, 'The exception.'), ...problemResponses(400, 401, 403, 404, 503) },
  });
  app.openapi(one, async (context) => {
    const { policy, subject: who } = context.req.valid('param');
    const found = (await of(policy)).find((override) => override.subject === who);
    if (found === undefined) throw problemException(unknownThingProblem('override'));
    return context.json(found, 200);
  });
}

type Place = Pick<Override, 'policy' | 'subject'>;

function setRoutes(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  const { middleware, security } = guard('operate');
  const common = {
    tags: ['policies'],
    description: `What they used stays used. ${onCondition}`,
    security,
    middleware: [middleware, readBody()],
    responses: {
      200: json(shown.and(reachSchema), 'As it is now.'),
      ...problemResponses(400, 401, 403, 404, 413, 415, 503),
    },
  };
  const set = async (
    context: Context<ApiEnv>,
    rules: Override & { readonly [Name in keyof Reach]?: unknown },
  ): Promise<Override & Reach> => {
    const { otherLimiters: _others, warning: _warning, ...override } = rules;
    refuseEverybody('subject', override.subject);
    await findPolicyView(deps, override.policy);
    const change = await deps.live.setOverride(override, byHand(context));
    return { ...override, ...reachOf(change) };
  };
  const inBody = createRoute({
    ...common,
    method: 'put',
    path: collection,
    operationId: 'setOverrideInBody',
    summary: 'Give a subject, or all that fit a pattern such as org-7:*, other numbers; the body names them',
    request: { params: z.object({ policy: policyName }), body: jsonBody(namedBody) },
  });
  app.openapi(inBody, async (context) => {
    const rules = context.req.valid('json');
    const place = samePlace(rules, context.req.valid('param'));
    return context.json(await set(context, { ...omitUndefined(rules), ...place }), 200);
  });

  const inPath = createRoute({
    ...common,
    method: 'put',
    path,
    operationId: 'setOverride',
    summary: 'Give a subject, or all that fit a pattern such as org-7:*, other numbers',
    request: { params, body: jsonBody(body) },
  });
  app.openapi(inPath, async (context) => {
    const rules = context.req.valid('json');
    const place = samePlace(rules, context.req.valid('param'));
    return context.json(await set(context, { ...omitUndefined(rules), ...place }), 200);
  });
}

function removeRoutes(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  const common = { tags: ['policies'], summary: 'Let the policy count for them again', ...guard('operate') };
  const responses = { 200: json(reachSchema, 'Removed.'), ...problemResponses(400, 401, 403, 404, 503) };
  const remove = async (context: Context<ApiEnv>, place: Place): Promise<Reach> => {
    const change = await deps.live.removeOverride(place, byHand(context));
    if (!change.existed) throw problemException(unknownThingProblem('override'));
    return reachOf(change);
  };
  const inQuery = createRoute({
    ...common,
    method: 'delete',
    path: collection,
    operationId: 'removeOverrideInQuery',
    request: { params: z.object({ policy: policyName }), query: strictObject({ subject }) },
    responses,
  });
  app.openapi(inQuery, async (context) => {
    const place = { ...context.req.valid('param'), ...context.req.valid('query') };
    return context.json(await remove(context, place), 200);
  });

  const inPath = createRoute({
    ...common,
    method: 'delete',
    path,
    operationId: 'removeOverride',
    request: { params },
    responses,
  });
  app.openapi(inPath, async (context) => {
    return context.json(await remove(context, context.req.valid('param')), 200);
  });
}
