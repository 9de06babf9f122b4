import { createRoute, z } from '@hono/zod-openapi';
import { listBlocks, type Queryable } from '@spillway/db';
import { blockModes, rateLimitsV2 } from '@spillway/db/schema';
import type { Guard } from '../auth/require-scope.ts';
import { omitUndefined } from '../omit-undefined.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { queryBoolean, strictObject, milliseconds, enumOf, boundedText } from '../openapi/fields.ts';
import { json, problemResponses } from '../openapi/responses.ts';
import { outboxColumns, rowSchema } from '../openapi/row-schema.ts';
import { finite } from '../limits/decision-json.ts';
import { next, pageQuery, timeQuery } from './page-query.ts';

const block = rowSchema(rateLimitsV2, ['key', ...outboxColumns], {
  blockedUntilMs: milliseconds.openapi({ description: 'Null: the block has no end.' }),
}).openapi('Block');

/** `GET /v1/audit/blocks`: the blocks, newest first. */
export function blockRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/audit/blocks',
    tags: ['audit'],
    operationId: 'listBlocks',
    summary: 'Blocks, newest first',
    ...guard('read'),
    request: {
      query: strictObject({
        ...pageQuery,
        ...timeQuery,
        tier: boundedText(64).optional(),
        action: boundedText(256).optional(),
        identifier: boundedText(1024).optional(),
        mode: enumOf(blockModes).optional(),
        active: queryBoolean().optional().openapi({ description: 'true: still in force; false: expired.' }),
      }),
    },
    responses: {
      200: json(z.object({ rows: z.array(block), next }), 'One page.'),
      ...problemResponses(400, 401, 403, 503),
    },
  });
  app.openapi(route, async (context) => {
    const page = await listBlocks(db, omitUndefined(context.req.valid('query')));
    // Parsing leaves out what ties a row to the outbox.
    const rows = page.rows.map((row) => block.parse({ ...row, blockedUntilMs: finite(row.blockedUntilMs) }));
    return context.json({ rows, next: page.next }, 200);
  });
}
