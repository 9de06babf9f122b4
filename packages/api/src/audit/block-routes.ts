import { createRoute, z } from '@hono/zod-openapi';
import { listBlocks, type Queryable } from '@spillway/db';
import { blockModes, rateLimitsV2 } from '@spillway/db/schema';
import type { Guard } from '../auth/require-scope.ts';
import { given } from '../given.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { booleanText, members, milliseconds, oneOf, text } from '../openapi/fields.ts';
import { json, refusals } from '../openapi/responses.ts';
import { outboxColumns, rowSchema } from '../openapi/row-schema.ts';
import { finite } from '../limits/decision-json.ts';
import { next, pageQuery, timeQuery } from './page-query.ts';

const block = rowSchema(rateLimitsV2, ['key', ...outboxColumns], {
  blockedUntilMs: milliseconds.openapi({ description: 'Null = for ever.' }),
}).openapi('Block');

/** `GET /v1/audit/blocks`: who was blocked, newest first. */
export function blockRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/audit/blocks',
    tags: ['audit'],
    operationId: 'listBlocks',
    summary: 'Blocks, newest first',
    ...guard('read'),
    request: {
      query: members({
        ...pageQuery,
        ...timeQuery,
        tier: text(64).optional(),
        action: text(256).optional(),
        identifier: text(1024).optional(),
        mode: oneOf(blockModes).optional(),
        active: booleanText().optional().openapi({ description: 'true: still in force; false: expired.' }),
      }),
    },
    responses: {
      200: json(z.object({ rows: z.array(block), next }), 'One page.'),
      ...refusals(400, 401, 403, 503),
    },
  });
  app.openapi(route, async (context) => {
    const page = await listBlocks(db, given(context.req.valid('query')));
    // Parsing leaves out what ties a row to the outbox.
    const rows = page.rows.map((row) => block.parse({ ...row, blockedUntilMs: finite(row.blockedUntilMs) }));
    return context.json({ rows, next: page.next }, 200);
  });
}
