import { createRoute, z } from '@hono/zod-openapi';
import { listChanges, type Queryable } from '@spillway/db';
import { changes } from '@spillway/db/schema';
import type { Guard } from '../auth/require-scope.ts';
import { given } from '../given.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { members, text } from '../openapi/fields.ts';
import { json, refusals } from '../openapi/responses.ts';
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
    summary: 'What was changed by hand, by whom, from what to what; newest first',
    description: 'Breakers that were forced are among /v1/audit/breaker-events, with who and why.',
    ...guard('read'),
    request: {
      query: members({
        ...pageQuery,
        ...timeQuery,
        actor: text(512).optional(),
        action: text(64).optional(),
        objectKind: text(64).optional(),
        object: text(2048).optional(),
      }),
    },
    responses: { 200: json(z.object({ rows: z.array(change), next }), 'One page.'), ...refusals(400, 401, 403, 503) },
  });
  app.openapi(route, async (context) => {
    const page = await listChanges(db, given(context.req.valid('query')));
    return context.json({ rows: [...page.rows], next: page.next }, 200);
  });
}
