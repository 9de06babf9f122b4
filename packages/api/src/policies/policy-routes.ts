import { createRoute, z } from '@hono/zod-openapi';
import { definePolicy, LimiterInputError, type LivePolicies, type Policy, type PolicyOptions } from '@spillway/limiter';
import { byHand } from '../audit/recorder.ts';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { conditionOf, etagHeader, etagOf, ifChanged, ifUnchanged, sendTagged, taggedJson } from '../openapi/etag.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { next, pageOf, pageQuery } from '../openapi/rows.ts';
import { problem, problemException, unknownThingProblem } from '../problems.ts';
import { samePlace } from '../openapi/read-body.ts';
import {
  policyName,
  policyRequest,
  type PolicyRules,
  type PolicyView,
  policyView,
  toPolicyView,
} from './policy-schema.ts';
import { omitUndefined, strictObject } from '../openapi/fields.ts';
import { reachOf, reachSchema } from './reach.ts';

/** What the routes work with: a limiter that was made with `live`. */
export interface PolicyRouteDeps {
  /** Those in code. */
  readonly policies: ReadonlyMap<string, Policy>;
  readonly live: LivePolicies;
}

const params = z.object({ policy: policyName });

/** Whom a change reaches. */
export const onCondition =
  'It holds in every limiter of the same Redis that is made with `live`: limiters without it keep what their code says.';

/** `/v1/policies`: the rules, readable with `read` and changed with `admin`. */
export function policyRoutes(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  readRoutes(app, deps, guard);
  writeRoutes(app, deps, guard);
}

function readRoutes(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  const list = createRoute({
    method: 'get',
    path: '/v1/policies',
    tags: ['policies'],
    operationId: 'listPolicies',
    summary: 'All policies, as they hold now',
    ...guard('read'),
    request: { query: strictObject(pageQuery), headers: ifChanged },
    responses: { ...taggedJson(z.object({ rows: z.array(policyView), next }), 'One page, by name.') },
  });
  app.openapi(list, async (context) => {
    const page = pageOf(await listPolicies(deps), ({ name }) => name, context.req.valid('query'));
    return sendTagged(context, page);
  });

  const one = createRoute({
    method: 'get',
    path: '/v1/policies/{policy}',
    tags: ['policies'],
    operationId: 'getPolicy',
    summary: 'One policy, as it holds now',
    ...guard('read'),
    request: { params, headers: ifChanged },
    responses: { ...taggedJson(policyView, 'The policy.'), ...problemResponses(404) },
  });
  app.openapi(one, async (context) => {
    const policy = await findPolicyView(deps, context.req.valid('param').policy);
    return sendTagged(context, policy);
  });
}

function writeRoutes(app: ApiApp, deps: PolicyRouteDeps, guard: Guard): void {
  const put = createRoute({
    method: 'put',
    path: '/v1/policies/{policy}',
    tags: ['policies'],
    operationId: 'setPolicy',
    summary: 'Add or replace a policy, in the whole fleet within a second',
    description: `The answer of GET, changed, can be sent back. ${onCondition}`,
    ...guard('admin'),
    request: { params, headers: ifUnchanged, body: jsonBody(policyRequest) },
    responses: { 200: json(policyView.and(reachSchema), 'As it is now.', etagHeader) },
  });
  app.openapi(put, async (context) => {
    const { name } = samePlace(context.req.valid('json'), { name: context.req.valid('param').policy });
    const policy = checked(await withLease(deps, name, context.req.valid('json')));
    const change = await deps.live.setPolicy(policy, {
      ...byHand(context),
      ...conditionOf(context, shownOf(deps, name)),
    });
    const view = toPolicyView(policy, 'live');
    return context.json({ ...view, ...reachOf(change) }, 200, { ETag: etagOf(view) });
  });

  const remove = createRoute({
    method: 'delete',
    path: '/v1/policies/{policy}',
    tags: ['policies'],
    operationId: 'removePolicy',
    summary: 'Remove a policy that was set here; one in code applies again',
    ...guard('admin'),
    request: { params, headers: ifUnchanged },
    responses: { 200: json(reachSchema, 'Removed.'), ...problemResponses(404) },
  });
  app.openapi(remove, async (context) => {
    const { policy: name } = context.req.valid('param');
    const condition = conditionOf(context, shownOf(deps, name));
    const change = await deps.live.removePolicy(name, { ...byHand(context), ...condition });
    if (!change.existed) throw problemException(problem('policy-not-live'));
    return context.json(reachOf(change), 200);
  });
}

/** Every policy, by name; a live one takes the place of the one in code. */
async function listPolicies({ policies, live }: PolicyRouteDeps): Promise<PolicyView[]> {
  const all = new Map<string, PolicyView>();
  for (const policy of policies.values()) all.set(policy.name, toPolicyView(policy, 'code'));
  for (const policy of (await live.list()).policies) all.set(policy.name, toPolicyView(policy, 'live'));
  return [...all.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** What GET answers where this policy is stored under the name, or none. */
function shownOf({ policies }: PolicyRouteDeps, name: string): (stored: Policy | undefined) => PolicyView | undefined {
  const code = policies.get(name);
  return (stored) => (stored === undefined ? code && toPolicyView(code, 'code') : toPolicyView(stored, 'live'));
}

/** As it is now; undefined when there is none. */
async function presentOf(deps: PolicyRouteDeps, name: string): Promise<PolicyView | undefined> {
  return (await listPolicies(deps)).find((one) => one.name === name);
}

/** @throws {HTTPException} that becomes a 404 */
export async function findPolicyView(deps: PolicyRouteDeps, name: string): Promise<PolicyView> {
  const policy = await presentOf(deps, name);
  if (policy === undefined) throw problemException(unknownThingProblem('policy'));
  return policy;
}

/** A lease that isn't spoken of stays: a new limit must not take away what keeps a hot key off Redis. */
async function withLease(deps: PolicyRouteDeps, name: string, body: PolicyRules): Promise<PolicyOptions> {
  const { lease, source: _source, otherLimiters: _others, warning: _warning, ...rules } = body;
  if (lease === null) return { ...rules, name };
  const present = lease ?? (await listPolicies(deps)).find((one) => one.name === name)?.lease;
  return { ...rules, name, ...omitUndefined({ lease: present }) };
}

/** The limiter's own rules, which know more than the schema. @throws {LimiterInputError} that names a member of the body */
function checked(options: PolicyOptions): Policy {
  try {
    return definePolicy(options);
  } catch (error) {
    if (!(error instanceof LimiterInputError)) throw error;
    throw new LimiterInputError(error.field.replace(`policy ${options.name}: `, ''), error.problem);
  }
}
