import { createRoute, z } from '@hono/zod-openapi';
import { type ArchivalRun, listArchivalRuns, type Queryable } from '@spillway/db';
import { archivalRuns, archivalRunStatuses } from '@spillway/db/schema';
import type { Guard } from '../auth/require-scope.ts';
import { omitUndefined } from '../omit-undefined.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { strictObject, enumOf, boundedText, uuid } from '../openapi/fields.ts';
import { json, problemResponses } from '../openapi/responses.ts';
import { rowSchema } from '../openapi/row-schema.ts';
import { next, pageQuery, timeQuery } from './page-query.ts';

/** One table of a run, as it is answered. */
export const archivalRun: z.ZodType<ArchivalRun> = rowSchema(archivalRuns, [], {}).openapi('ArchivalRun');

/** `GET /v1/audit/archival-runs`: what maintenance did, the last begun first. */
export function archivalRunRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/audit/archival-runs',
    tags: ['audit'],
    operationId: 'listArchivalRuns',
    summary: 'Maintenance runs, the last begun first',
    ...guard('read', 'maintain'),
    request: {
      query: strictObject({
        ...pageQuery,
        ...timeQuery,
        jobName: boundedText(64).optional(),
        tableName: boundedText(128).optional(),
        status: enumOf(archivalRunStatuses).optional(),
        runId: uuid().optional(),
      }),
    },
    responses: {
      200: json(z.object({ rows: z.array(archivalRun), next }), 'One page.'),
      ...problemResponses(400, 401, 403, 503),
    },
  });
  app.openapi(route, async (context) => {
    const page = await listArchivalRuns(db, omitUndefined(context.req.valid('query')));
    return context.json({ rows: [...page.rows], next: page.next }, 200);
  });
}
