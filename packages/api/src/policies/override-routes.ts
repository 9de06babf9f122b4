import { createRoute, z } from '@hono/zod-openapi';
import { MAX_BLOCK_MS, MAX_LIMIT, MAX_WINDOW_MS, type Override } from '@spillway/limiter';
import { byHand } from '../audit/recorder.ts';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { strictObject, enumOf, subject, wholeNumber, omitUndefined } from '../openapi/fields.ts';
import { conditionOf, etagHeader, etagOf, ifChanged, ifUnchanged, sendTagged, taggedJson } from '../openapi/etag.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { next, pageOf, pageQuery } from '../openapi/rows.ts';
import { problemException, unknownThingProblem } from '../problems.ts';
import { samePlace } from '../openapi/read-body.ts';
import { refuseEverybody, reachIgnored, reachOf, reachSchema } from './reach.ts';
import { findPolicyView, onCondition, type PolicyRouteDeps } from './policy-routes.ts';
import { policyName } from './policy-schema.ts';

const params = z.object({ policy: policyName });
const query = strictObject({ subject });

const numbers = {
  limit: wholeNumber(1, MAX_LIMIT).optional(),
  windowMs: wholeNumber(1, MAX_WINDOW_MS).optional(),
  blockMs: wholeNumber(0, MAX_BLOCK_MS).optional(),
  mode: enumOf(['enforce', 'shadow']).optional(),
};
const body = strictObject({ ...numbers, ...reachIgnored, policy: policyName.optional(), subject }).openapi(
  'OverrideRequest',
  { description: 'An option that is left out is the policy’s.' },
);

const shown: z.ZodType<Override> = z
  .custom<Override>((value) => typeof value === 'object' && value !== null)
  .openapi('Override', {
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

/** The subject is in the query or the body: proxies rewrite slashes of paths, and paths land in logs. */
const path = '/v1/policies/{policy}/override';

/** `/v1/policies/{policy}/overrides`: other numbers for some subjects. */
export function overrideRoutes(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  readRoutes(app, deps, guard);
  setRoute(app, deps, guard);
  removeRoute(app, deps, guard);
}

function readRoutes(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  const of = async (policy: string): Promise<readonly Override[]> => {
    const { name } = await findPolicyView(deps, policy);
    return (await deps.live.list()).overrides.filter((override) => override.policy === name);
  };
  const list = createRoute({
    method: 'get',
    path: '/v1/policies/{policy}/overrides',
    tags: ['policies'],
    operationId: 'listOverrides',
    summary: 'All exceptions from a policy',
    ...guard('read'),
    request: { params, query: strictObject(pageQuery), headers: ifChanged },
    responses: {
      ...taggedJson(z.object({ rows: z.array(shown), next }), 'One page, by subject.'),
      ...problemResponses(404),
    },
  });
  app.openapi(list, async (context) => {
    const overrides = await of(context.req.valid('param').policy);
    const page = pageOf(overrides, (override) => override.subject, context.req.valid('query'));
    return sendTagged(context, page);
  });

  const one = createRoute({
    method: 'get',
    path,
    tags: ['policies'],
    operationId: 'getOverride',
    summary: 'One exception, as it can be sent back',
    ...guard('read'),
    request: { params, query, headers: ifChanged },
    responses: { ...taggedJson(shown, 'The exception.'), ...problemResponses(404) },
  });
  app.openapi(one, async (context) => {
    const { subject: who } = context.req.valid('query');
    const found = (await of(context.req.valid('param').policy)).find((override) => override.subject === who);
    if (found === undefined) throw problemException(unknownThingProblem('override'));
    return sendTagged(context, found);
  });
}

function setRoute(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  const put = createRoute({
    method: 'put',
    path,
    tags: ['policies'],
    operationId: 'setOverride',
    summary: 'Set other options for a subject, or for all that match a pattern such as org-7:*',
    description: `Their usage stays. ${onCondition}`,
    ...guard('operate'),
    request: { params, headers: ifUnchanged, body: jsonBody(body) },
    responses: {
      200: json(shown.and(reachSchema), 'As it is now.', etagHeader),
      ...problemResponses(404),
    },
  });
  app.openapi(put, async (context) => {
    const { otherLimiters: _others, warning: _warning, ...rules } = context.req.valid('json');
    const override: Override = { ...omitUndefined(rules), ...samePlace(rules, context.req.valid('param')) };
    refuseEverybody('subject', override.subject);
    await findPolicyView(deps, override.policy);
    const condition = conditionOf<Override>(context, (stored) => stored);
    const change = await deps.live.setOverride(override, { ...byHand(context), ...condition });
    return context.json({ ...override, ...reachOf(change) }, 200, { ETag: etagOf(override) });
  });
}

function removeRoute(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  const remove = createRoute({
    method: 'delete',
    path,
    tags: ['policies'],
    operationId: 'removeOverride',
    summary: 'Remove an exception: the policy applies again',
    ...guard('operate'),
    request: { params, query, headers: ifUnchanged },
    responses: { 200: json(reachSchema, 'Removed.'), ...problemResponses(404) },
  });
  app.openapi(remove, async (context) => {
    const place = { ...context.req.valid('param'), ...context.req.valid('query') };
    const condition = conditionOf<Override>(context, (stored) => stored);
    const change = await deps.live.removeOverride(place, { ...byHand(context), ...condition });
    if (!change.existed) throw problemException(unknownThingProblem('override'));
    return context.json(reachOf(change), 200);
  });
}
