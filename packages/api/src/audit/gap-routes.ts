import { createRoute, z } from '@hono/zod-openapi';
import { listGaps, type Queryable } from '@spillway/db';
import { auditGaps, gapKinds } from '@spillway/db/schema';
import type { Guard } from '../auth/require-scope.ts';
import { given } from '../given.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { booleanText, members, text } from '../openapi/fields.ts';
import { json, refusals } from '../openapi/responses.ts';
import { outboxColumns, rowSchema } from '../openapi/row-schema.ts';
import { next, pageQuery, timeQuery } from './page-query.ts';

const gap = rowSchema(auditGaps, ['seqs', ...outboxColumns], {}).openapi('Gap');

/** `GET /v1/audit/gaps`: what the trail knows it does not hold, the last found first. */
export function gapRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/audit/gaps',
    tags: ['audit'],
    operationId: 'listGaps',
    summary: 'Gaps in the trail, the last found first',
    ...guard('read'),
    request: {
      query: members({
        ...pageQuery,
        ...timeQuery,
        kind: text(64)
          .optional()
          .openapi({ description: `Those that Spillway records: ${gapKinds.join(', ')}.` }),
        resolved: booleanText().optional(),
      }),
    },
    responses: { 200: json(z.object({ rows: z.array(gap), next }), 'One page.'), ...refusals(400, 401, 403, 503) },
  });
  app.openapi(route, async (context) => {
    const page = await listGaps(db, given(context.req.valid('query')));
    return context.json({ rows: [...page.rows], next: page.next }, 200);
  });
}
