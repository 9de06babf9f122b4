import { createRoute, z } from '@hono/zod-openapi';
import { listBreakerEvents, type Queryable } from '@spillway/db';
import { breakerEventTypes, circuitBreakerEvents } from '@spillway/db/schema';
import type { Guard } from '../auth/require-scope.ts';
import { omitUndefined } from '../omit-undefined.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { strictObject, enumOf, boundedText } from '../openapi/fields.ts';
import { json, problemResponses } from '../openapi/responses.ts';
import { outboxColumns, rowSchema } from '../openapi/row-schema.ts';
import { next, pageQuery, timeQuery } from './page-query.ts';

const event = rowSchema(circuitBreakerEvents, outboxColumns, {}).openapi('BreakerEvent');

/** `GET /v1/audit/breaker-events`: what happened to breakers, newest first. */
export function breakerEventRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  const route = createRoute({
    method: 'get',
    path: '/v1/audit/breaker-events',
    tags: ['audit'],
    operationId: 'listBreakerEvents',
    summary: 'Breaker events, newest first',
    ...guard('read'),
    request: {
      query: strictObject({
        ...pageQuery,
        ...timeQuery,
        breakerName: boundedText(256).optional(),
        preset: boundedText(64).optional(),
        eventType: enumOf(breakerEventTypes).optional(),
      }),
    },
    responses: {
      200: json(z.object({ rows: z.array(event), next }), 'One page.'),
      ...problemResponses(400, 401, 403, 503),
    },
  });
  app.openapi(route, async (context) => {
    const page = await listBreakerEvents(db, omitUndefined(context.req.valid('query')));
    return context.json({ rows: [...page.rows], next: page.next }, 200);
  });
}
