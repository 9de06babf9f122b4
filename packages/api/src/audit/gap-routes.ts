import { createRoute, z } from '@hono/zod-openapi';
import { type ConnectionSource, gapChange, listGaps, type Queryable, resolveGap } from '@spillway/db';
import { auditGaps, gapKinds } from '@spillway/db/schema';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { queryBoolean, strictObject, boundedText, uuid } from '../openapi/fields.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { problem, problemException, unknownThingProblem } from '../problems.ts';
import { recorder } from './recorder.ts';
import { outboxColumns, rowSchema, timeQuery, listRoute } from '../openapi/rows.ts';

const gap = rowSchema(auditGaps, ['seqs', ...outboxColumns], {}).openapi('Gap');

const resolution = strictObject({
  note: boundedText(1_000).openapi({
    description: 'Why it is resolved. Kept in /v1/audit/changes, with the actor.',
  }),
}).openapi('GapResolution');

/** Where gaps are resolved, and where they are read. */
interface GapDatabases {
  readonly db: ConnectionSource & Queryable;
  readonly reads: Queryable;
}

/** `/v1/audit/gaps`: events that the trail is known to lack, and resolving them. */
export function gapRoutes(app: ApiApp, { db, reads }: GapDatabases, guard: Guard): void {
  gapsRoute(app, reads, guard);
  resolveRoute(app, db, guard);
}

function resolveRoute(app: ApiApp, db: ConnectionSource & Queryable, guard: Guard): void {
  const route = createRoute({
    method: 'post',
    path: '/v1/audit/gaps/{id}/resolve',
    tags: ['audit'],
    operationId: 'resolveGap',
    summary: 'Resolve a gap with a reason: it no longer counts for alerts',
    ...guard('operate', 'maintain'),
    request: { params: z.object({ id: uuid() }), body: jsonBody(resolution) },
    responses: { 200: json(gap, 'As it is now.'), ...problemResponses(404, 409) },
  });
  app.openapi(route, async (context) => {
    const { id } = context.req.valid('param');
    const { note } = context.req.valid('json');
    const result = await recorder(db).within(
      context,
      async (connection) => resolveGap(connection, id),
      (done) => gapChange(done, note),
    );
    if (result.kind === 'unknown') throw problemException(unknownThingProblem('gap'));
    if (result.kind === 'resolved_before') {
      const at = new Date(result.gap.resolvedAtMs ?? 0).toISOString();
      const detail = `It was resolved at ${at}: see /v1/audit/changes?object=${id}.`;
      throw problemException(problem('gap-resolved', { detail }));
    }
    return context.json(result.gap, 200);
  });
}

function gapsRoute(app: ApiApp, db: Queryable, guard: Guard): void {
  listRoute(app, {
    path: '/v1/audit/gaps',
    tags: ['audit'],
    operationId: 'listGaps',
    summary: 'Gaps in the trail, the last found first',
    ...guard('read'),
    filters: {
      ...timeQuery,
      kind: boundedText(64)
        .optional()
        .openapi({ description: `Those that Spillway records: ${gapKinds.join(', ')}.` }),
      resolved: queryBoolean().optional(),
    },
    row: gap,
    find: async (query) => listGaps(db, query),
  });
}
