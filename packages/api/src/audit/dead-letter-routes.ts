import { createRoute, z } from '@hono/zod-openapi';
import { listDeadLetters, type Queryable } from '@spillway/db';
import { auditDeadLetters } from '@spillway/db/schema';
import type { Guard } from '../auth/require-scope.ts';
import { omitUndefined } from '../omit-undefined.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { queryBoolean, strictObject, boundedText } from '../openapi/fields.ts';
import { json, problemResponses } from '../openapi/responses.ts';
import { outboxColumns, rowSchema } from '../openapi/row-schema.ts';
import { next, pageQuery, timeQuery } from './page-query.ts';

const letter = rowSchema(auditDeadLetters, outboxColumns, {}).openapi('DeadLetter');

/** `GET /v1/audit/dead-letters`: events that Postgres refused, newest first. */
export function deadLetterRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/audit/dead-letters',
    tags: ['audit'],
    operationId: 'listDeadLetters',
    summary: 'Events that Postgres refused, newest first',
    ...guard('read'),
    request: {
      query: strictObject({
        ...pageQuery,
        ...timeQuery,
        sourceJob: boundedText(128).optional(),
        waiting: queryBoolean().optional().openapi({ description: 'true: not replayed yet; false: replayed.' }),
      }),
    },
    responses: {
      200: json(z.object({ rows: z.array(letter), next }), 'One page.'),
      ...problemResponses(400, 401, 403, 503),
    },
  });
  app.openapi(route, async (context) => {
    const page = await listDeadLetters(db, omitUndefined(context.req.valid('query')));
    return context.json({ rows: [...page.rows], next: page.next }, 200);
  });
}
