import { createRoute, z } from '@hono/zod-openapi';
import { listChanges, type Queryable } from '@spillway/db';
import { changes } from '@spillway/db/schema';
import type { Guard } from '../auth/require-scope.ts';
import { omitUndefined } from '../omit-undefined.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { strictObject, boundedText } from '../openapi/fields.ts';
import { json, problemResponses } from '../openapi/responses.ts';
import { outboxColumns, rowSchema } from '../openapi/row-schema.ts';
import { next, pageQuery, timeQuery } from './page-query.ts';

const change = rowSchema(changes, outboxColumns, {
  actor: z.string().openapi({ description: 'Who: `api-key:<id>`, `jwt:<subject>` or `cli:<user>@<host>`.' }),
}).openapi('Change');

/** `GET /v1/audit/changes`: what was changed by hand, newest first. */
export function changeRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/audit/changes',
    tags: ['audit'],
    operationId: 'listChanges',
    summary: 'Manual changes: actor, action, before and after; newest first',
    description: 'Forced breakers are in /v1/audit/breaker-events, with `who` and `why`.',
    ...guard('read'),
    request: {
      query: strictObject({
        ...pageQuery,
        ...timeQuery,
        actor: boundedText(512).optional(),
        action: boundedText(64).optional(),
        objectKind: boundedText(64).optional(),
        object: boundedText(2048).optional(),
      }),
    },
    responses: {
      200: json(z.object({ rows: z.array(change), next }), 'One page.'),
      ...problemResponses(400, 401, 403, 503),
    },
  });
  app.openapi(route, async (context) => {
    const page = await listChanges(db, omitUndefined(context.req.valid('query')));
    return context.json({ rows: [...page.rows], next: page.next }, 200);
  });
}
