import { createRoute, z } from '@hono/zod-openapi';
import {
  type ApiKeyRow,
  createApiKey,
  generateKey,
  listApiKeys,
  readApiKey,
  type Queryable,
  revokeApiKey,
  rotateApiKey,
} from '@spillway/db';
import { apiKeys } from '@spillway/db/schema';
import { scopes, type ApiApp } from './openapi/api-app.ts';
import type { ChangeOf, Recorder } from './audit/recorder.ts';
import type { Guard } from './auth/require-scope.ts';
import {
  queryBoolean,
  strictObject,
  mustBe,
  enumOf,
  boundedText,
  uuid,
  wholeNumber,
  omitUndefined,
} from './openapi/fields.ts';
import { json, jsonBody, problemResponses } from './openapi/responses.ts';
import { rowSchema, listRoute } from './openapi/rows.ts';
import { problemException, unknownThingProblem } from './problems.ts';

/** What the routes work with. */
interface KeyRouteDeps {
  readonly db: Queryable;
  readonly record: Recorder;
  /** Called after each change, so that it holds in this process before the answer is sent. */
  readonly onChange: () => Promise<void>;
}

/** Ten years. */
const LONGEST_MS = 315_360_000_000;

/** How long a rotated key stays valid beside its successor. */
const DAY_MS = 86_400_000;

const params = z.object({ id: uuid() });

const keyRow = rowSchema(apiKeys, ['secretHash'], {
  lastUsedAtMs: z.number().nullable().openapi({ description: 'To the minute.' }),
});
const keySchema = keyRow.openapi('Key');
const newKey = z
  .object({ ...keyRow.shape, key: z.string().openapi({ description: 'Shown this once, and stored nowhere.' }) })
  .openapi('NewKey');

const createBody = strictObject({
  name: boundedText(128),
  scopes: z
    .array(enumOf(scopes), { error: mustBe('a list') })
    .min(1, 'must hold at least one')
    .max(scopes.length, 'must hold each scope once'),
  expiresInMs: wholeNumber(1, LONGEST_MS).optional().openapi({ description: 'Absent = it never expires.' }),
}).openapi('KeyRequest');

const rotateBody = strictObject({
  graceMs: wholeNumber(0, 30 * DAY_MS)
    .optional()
    .openapi({ description: 'How long the old key stays valid beside the new one.', default: DAY_MS }),
}).openapi('RotationRequest');

/** `/v1/keys`: the keys of this API. Needs `admin`. */
export function keyRoutes(app: ApiApp, deps: KeyRouteDeps, guard: Guard): void {
  createAndRotate(app, deps, guard);
  listAndRevoke(app, deps, guard);
}

function createAndRotate(app: ApiApp, { record, onChange }: KeyRouteDeps, guard: Guard): void {
  const create = createRoute({
    method: 'post',
    path: '/v1/keys',
    tags: ['keys'],
    operationId: 'createKey',
    summary: 'Make a key; the answer is the only place where it is ever shown',
    ...guard('admin'),
    request: { body: jsonBody(createBody) },
    responses: { 201: json(newKey, 'The key.') },
  });
  app.openapi(create, async (context) => {
    const { name, scopes: wanted, expiresInMs } = context.req.valid('json');
    const options = { name, scopes: [...new Set(wanted)], ...omitUndefined({ expiresInMs }) };
    const { key, row } = await record.within(
      context,
      (db) => createApiKey(db, options),
      (made) => keyChange('create_key', made.row),
    );
    await onChange();
    return context.json({ ...row, key }, 201, { 'Cache-Control': 'no-store' });
  });

  const rotate = createRoute({
    method: 'post',
    path: '/v1/keys/{id}/rotate',
    tags: ['keys'],
    operationId: 'rotateKey',
    summary: 'Make a successor; both are valid until the grace is over',
    ...guard('admin'),
    request: { params, body: { content: { 'application/json': { schema: rotateBody } } } },
    responses: { 201: json(newKey, 'The successor.'), ...problemResponses(404) },
  });
  app.openapi(rotate, async (context) => {
    const { graceMs = DAY_MS } = context.req.valid('json');
    const { id, key, secretHash } = generateKey();
    const { id: replaces } = context.req.valid('param');
    const row = await record.within(
      context,
      (db) => rotateApiKey(db, { replaces, id, secretHash, graceMs }),
      (made) => made && keyChange('rotate_key', made),
    );
    if (row === undefined) throw problemException(unknownThingProblem('key'));
    await onChange();
    return context.json({ ...row, key }, 201, { 'Cache-Control': 'no-store' });
  });
}

function listAndRevoke(app: ApiApp, { db, record, onChange }: KeyRouteDeps, guard: Guard): void {
  listRoute(app, {
    path: '/v1/keys',
    tags: ['keys'],
    operationId: 'listKeys',
    summary: 'All keys, newest first, without their secrets',
    ...guard('admin'),
    filters: { active: queryBoolean().optional() },
    row: keySchema,
    find: async (query) => listApiKeys(db, query),
  });

  const one = createRoute({
    method: 'get',
    path: '/v1/keys/{id}',
    tags: ['keys'],
    operationId: 'getKey',
    summary: 'One key, valid or ended, without its secret',
    ...guard('admin'),
    request: { params },
    responses: { 200: json(keySchema, 'The key.'), ...problemResponses(404) },
  });
  app.openapi(one, async (context) => {
    const found = await readApiKey(db, context.req.valid('param').id);
    if (found === undefined) throw problemException(unknownThingProblem('key'));
    return context.json(found, 200);
  });

  const revoke = createRoute({
    method: 'delete',
    path: '/v1/keys/{id}',
    tags: ['keys'],
    operationId: 'revokeKey',
    summary: 'End a key, within a second everywhere',
    ...guard('admin'),
    request: { params },
    responses: { 204: { description: 'Ended.' }, ...problemResponses(404) },
  });
  app.openapi(revoke, async (context) => {
    const { id } = context.req.valid('param');
    const change = { action: 'revoke_key', objectKind: 'key', object: id };
    const revoked = await record.within(
      context,
      (tables) => revokeApiKey(tables, id),
      (done) => (done ? change : undefined),
    );
    if (!revoked) throw problemException(unknownThingProblem('key'));
    await onChange();
    return context.body(null, 204);
  });
}

/** Its hash is not part of the row. */
function keyChange(action: string, { id, name, scopes: granted, replaces, expiresAtMs }: ApiKeyRow): ChangeOf {
  return { action, objectKind: 'key', object: id, after: { name, scopes: granted, replaces, expiresAtMs } };
}
