import { createRoute, z } from '@hono/zod-openapi';
import type { LiveChange, LiveChangeOptions, LiveEntries, LivePolicies } from '@spillway/limiter';
import { byHand } from '../audit/recorder.ts';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { conditionOf, etagHeader, etagOf, ifChanged, ifUnchanged, sendTagged, taggedJson } from '../openapi/etag.ts';
import { strictObject } from '../openapi/fields.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { next, pageOf, pageQuery } from '../openapi/rows.ts';
import { problemException } from '../problems.ts';
import { samePlace } from '../openapi/read-body.ts';

/** What GET answers of an entry: all its members. */
interface Named {
  readonly name: string;
}

/** A kind of live entries that are known by a name alone. */
export interface NamedKind<Stored extends Named> {
  readonly noun: 'plan' | 'preset';
  /** The refusal of a name that none has. */
  readonly missing: () => Response;
  /** The last part of its operations: `Plan` for `getPlan`. */
  readonly title: string;
  readonly tag: string;
  /** What a change does, for the document. */
  readonly description: string;
  readonly view: z.ZodType<Named>;
  readonly body: z.ZodType<Readonly<Record<string, unknown>>>;
  /** Those that are stored. */
  readonly of: (entries: LiveEntries) => readonly Stored[];
  /** The entry that a body asks for. @throws an input error that names a member of the body */
  readonly checked: (name: string, body: Readonly<Record<string, unknown>>) => Stored;
  readonly set: (live: LivePolicies, entry: Stored, by: LiveChangeOptions<Stored>) => Promise<LiveChange>;
  readonly remove: (live: LivePolicies, name: string, by: LiveChangeOptions<Stored>) => Promise<LiveChange>;
}

const params = z.object({ name: z.string() });

/** `/v1/<noun>s` and `/v1/<noun>s/{name}`: listed and read with `read`, changed with `admin`, each with an entity tag. */
export function namedRoutes<Stored extends Named>(
  app: ApiApp,
  live: LivePolicies,
  kind: NamedKind<Stored>,
  guard: Guard,
): void {
  readRoutes(app, live, kind, guard);
  writeRoutes(app, live, kind, guard);
}

function readRoutes<Stored extends Named>(
  app: ApiApp,
  live: LivePolicies,
  { noun, title, tag, view, of, missing }: NamedKind<Stored>,
  guard: Guard,
): void {
  const list = createRoute({
    method: 'get',
    path: `/v1/${noun}s`,
    tags: [tag],
    operationId: `list${title}s`,
    summary: `The ${noun}s that are stored, by name`,
    ...guard('read'),
    request: { query: strictObject(pageQuery), headers: ifChanged },
    responses: { ...taggedJson(z.object({ rows: z.array(view), next }), 'One page, by name.') },
  });
  app.openapi(list, async (context) => {
    const rows: Named[] = [...of(await live.list())];
    const page = pageOf(rows, ({ name }) => name, context.req.valid('query'));
    return sendTagged(context, page);
  });

  const one = createRoute({
    method: 'get',
    path: `/v1/${noun}s/{name}`,
    tags: [tag],
    operationId: `get${title}`,
    summary: `One ${noun}, as it can be sent back`,
    ...guard('read'),
    request: { params, headers: ifChanged },
    responses: { ...taggedJson(view, `The ${noun}.`), ...problemResponses(404) },
  });
  app.openapi(one, async (context) => {
    const { name } = context.req.valid('param');
    const found: Named | undefined = of(await live.list()).find((entry) => entry.name === name);
    if (found === undefined) throw problemException(missing());
    return sendTagged(context, found);
  });
}

function writeRoutes<Stored extends Named>(
  app: ApiApp,
  live: LivePolicies,
  kind: NamedKind<Stored>,
  guard: Guard,
): void {
  const { noun, title, tag, description, view, body } = kind;
  const put = createRoute({
    method: 'put',
    path: `/v1/${noun}s/{name}`,
    tags: [tag],
    operationId: `set${title}`,
    summary: `Add a ${noun}, or replace one`,
    description,
    ...guard('admin'),
    request: { params, headers: ifUnchanged, body: jsonBody(body) },
    responses: { 200: json(view, 'As it is now.', etagHeader) },
  });
  app.openapi(put, async (context) => {
    const sent = context.req.valid('json');
    const { name } = samePlace(sent, { name: context.req.valid('param').name });
    const entry = kind.checked(name, sent);
    await kind.set(live, entry, { ...byHand(context), ...conditionOf<Stored>(context, (stored) => stored) });
    const shown: Named = entry;
    return context.json(shown, 200, { ETag: etagOf(shown) });
  });

  const remove = createRoute({
    method: 'delete',
    path: `/v1/${noun}s/{name}`,
    tags: [tag],
    operationId: `remove${title}`,
    summary: `Remove a ${noun}`,
    ...guard('admin'),
    request: { params, headers: ifUnchanged },
    responses: { 204: { description: 'Removed.' }, ...problemResponses(404) },
  });
  app.openapi(remove, async (context) => {
    const condition = conditionOf<Stored>(context, (stored) => stored);
    const { existed } = await kind.remove(live, context.req.valid('param').name, { ...byHand(context), ...condition });
    if (!existed) throw problemException(kind.missing());
    return context.body(null, 204);
  });
}
