import { createRoute, z } from '@hono/zod-openapi';
import { checkListEntry } from '@spillway/limiter';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { strictObject, enumOf, boundedText, why } from '../openapi/fields.ts';
import { conditionOf, etagHeader, etagOf, ifChanged, ifUnchanged, sendTagged, taggedJson } from '../openapi/etag.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { next, pageOf, pageQuery } from '../openapi/rows.ts';
import { problemException, unknownThingProblem } from '../problems.ts';
import { refuseEverybody, reachIgnored, reachOf, reachSchema } from './reach.ts';
import { byHand } from '../audit/recorder.ts';
import { onCondition, type PolicyRouteDeps } from './policy-routes.ts';

const entry = boundedText(1024).openapi({ example: '10.0.0.0/8' });
const verdict = enumOf(['allow', 'deny']);
const query = strictObject({ entry });
const named = z.object({ entry, verdict }).openapi('ListEntry');
const body = strictObject({ entry, verdict, why, ...reachIgnored }).openapi('ListEntryRequest');
type Verdict = z.output<typeof verdict>;

/** What GET answers of an entry that is on this list, or on none. Networks have their one canonical form, as they are stored. */
function shownOf(at: string): (stored: Verdict | undefined) => z.output<typeof named> | undefined {
  return (stored) => (stored === undefined ? undefined : { entry: at, verdict: stored });
}

/** The entry is in the query or the body: proxies rewrite slashes of paths, and paths land in logs. */
const path = '/v1/lists/entry';
const what = `A subject, a pattern such as org-7:*, an address or a network. ${onCondition}`;

/** What the routes work with. */
type ListRouteDeps = Pick<PolicyRouteDeps, 'live'>;

/** `/v1/lists`: subjects that are always admitted or always refused, under every policy. */
export function listRoutes(app: ApiApp, deps: ListRouteDeps, guard: Guard): void {
  readRoutes(app, deps, guard);
  setRoute(app, deps, guard);
  removeRoute(app, deps, guard);
}

function readRoutes(app: ApiApp, deps: ListRouteDeps, guard: Guard): void {
  const all = createRoute({
    method: 'get',
    path: '/v1/lists',
    tags: ['policies'],
    operationId: 'listListEntries',
    summary: 'Subjects, patterns and networks that are always admitted or always refused',
    ...guard('read'),
    request: { query: strictObject({ ...pageQuery, verdict: verdict.optional() }), headers: ifChanged },
    responses: { ...taggedJson(z.object({ rows: z.array(named), next }), 'One page, by entry.') },
  });
  app.openapi(all, async (context) => {
    const { verdict: wanted, ...page } = context.req.valid('query');
    const { allowed, denied } = await deps.live.list();
    const rows = [
      ...allowed.map((at) => ({ entry: at, verdict: 'allow' as const })),
      ...denied.map((at) => ({ entry: at, verdict: 'deny' as const })),
    ].filter((row) => wanted === undefined || row.verdict === wanted);
    const found = pageOf(rows, (row) => row.entry, page);
    return sendTagged(context, found);
  });

  const one = createRoute({
    method: 'get',
    path,
    tags: ['policies'],
    operationId: 'getListEntry',
    summary: 'Which list an entry is on',
    ...guard('read'),
    request: { query, headers: ifChanged },
    responses: { ...taggedJson(named, 'The entry.'), ...problemResponses(404) },
  });
  app.openapi(one, async (context) => {
    const at = checkListEntry(context.req.valid('query').entry);
    const { allowed, denied } = await deps.live.list();
    const found = shownOf(at)(allowed.includes(at) ? 'allow' : denied.includes(at) ? 'deny' : undefined);
    if (found === undefined) throw problemException(unknownThingProblem('entry'));
    return sendTagged(context, found);
  });
}

function setRoute(app: ApiApp, deps: ListRouteDeps, guard: Guard): void {
  const put = createRoute({
    method: 'put',
    path,
    tags: ['policies'],
    operationId: 'setListEntry',
    summary: 'Put an entry on a list, and remove it from the other',
    description: what,
    ...guard('operate'),
    request: { headers: ifUnchanged, body: jsonBody(body) },
    responses: { 200: json(named.and(reachSchema), 'It holds.', etagHeader) },
  });
  app.openapi(put, async (context) => {
    const { entry: asked, verdict: as, why: reason } = context.req.valid('json');
    refuseEverybody('entry', asked);
    const at = checkListEntry(asked);
    const by = { ...byHand(context, reason), ...conditionOf(context, shownOf(at)) };
    const change = await (as === 'allow' ? deps.live.allow(at, by) : deps.live.deny(at, by));
    const view = { entry: at, verdict: as };
    return context.json({ ...view, ...reachOf(change) }, 200, { ETag: etagOf(view) });
  });
}

function removeRoute(app: ApiApp, deps: ListRouteDeps, guard: Guard): void {
  const remove = createRoute({
    method: 'delete',
    path,
    tags: ['policies'],
    operationId: 'removeListEntry',
    summary: 'Remove an entry from both lists',
    ...guard('operate'),
    request: { query, headers: ifUnchanged },
    responses: { 200: json(reachSchema, 'Taken off.'), ...problemResponses(404) },
  });
  app.openapi(remove, async (context) => {
    const at = checkListEntry(context.req.valid('query').entry);
    const change = await deps.live.unlist(at, { ...byHand(context), ...conditionOf(context, shownOf(at)) });
    if (!change.existed) throw problemException(unknownThingProblem('entry'));
    return context.json(reachOf(change), 200);
  });
}
