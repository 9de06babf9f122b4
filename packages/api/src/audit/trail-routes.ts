import { z } from '@hono/zod-openapi';
import {
  listAlerts,
  listBlocks,
  type Queryable,
  listBreakerEvents,
  type ArchivalRun,
  listArchivalRuns,
  listChanges,
  readBehindMs,
} from '@spillway/db';
import {
  alerts,
  blockModes,
  rateLimitsV2,
  breakerEventTypes,
  circuitBreakerEvents,
  archivalRuns,
  archivalRunStatuses,
  changes,
} from '@spillway/db/schema';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { queryBoolean, milliseconds, enumOf, boundedText, uuid, finite } from '../openapi/fields.ts';
import { outboxColumns, rowSchema, timeQuery, listRoute } from '../openapi/rows.ts';
import type { MiddlewareHandler } from 'hono';
import { keepFor } from '../dashboard/shared.ts';

const block = rowSchema(rateLimitsV2, ['key', ...outboxColumns], {
  blockedUntilMs: milliseconds.openapi({ description: 'Null: the block has no end.' }),
}).openapi('Block');

/** `GET /v1/audit/blocks`: the blocks, newest first. */
export function blockRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  listRoute(app, {
    path: '/v1/audit/blocks',
    tags: ['audit'],
    operationId: 'listBlocks',
    summary: 'Blocks, newest first',
    ...guard('read'),
    filters: {
      ...timeQuery,
      tier: boundedText(64).optional(),
      action: boundedText(256).optional(),
      identifier: boundedText(1024).optional(),
      mode: enumOf(blockModes).optional(),
      active: queryBoolean().optional().openapi({ description: 'true: still in force; false: expired.' }),
    },
    row: block,
    async find(query) {
      const page = await listBlocks(db, query);
      // Parsing leaves out what ties a row to the outbox.
      const rows = page.rows.map((row) => block.parse({ ...row, blockedUntilMs: finite(row.blockedUntilMs) }));
      return { rows, next: page.next };
    },
  });
}

const event = rowSchema(circuitBreakerEvents, outboxColumns, {}).openapi('BreakerEvent');

/** `GET /v1/audit/breaker-events`: what happened to breakers, newest first. */
export function breakerEventRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  listRoute(app, {
    path: '/v1/audit/breaker-events',
    tags: ['audit'],
    operationId: 'listBreakerEvents',
    summary: 'Breaker events, newest first',
    ...guard('read'),
    filters: {
      ...timeQuery,
      breakerName: boundedText(256).optional(),
      preset: boundedText(64).optional(),
      eventType: enumOf(breakerEventTypes).optional(),
    },
    row: event,
    find: async (query) => listBreakerEvents(db, query),
  });
}

/** One table of a run, as it is answered. */
export const archivalRun: z.ZodType<ArchivalRun> = rowSchema(archivalRuns, [], {}).openapi('ArchivalRun');

/** `GET /v1/audit/archival-runs`: what maintenance did, the last begun first. */
export function archivalRunRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  listRoute(app, {
    path: '/v1/audit/archival-runs',
    tags: ['audit'],
    operationId: 'listArchivalRuns',
    summary: 'Maintenance runs, the last begun first',
    ...guard('read', 'maintain'),
    filters: {
      ...timeQuery,
      jobName: boundedText(64).optional(),
      tableName: boundedText(128).optional(),
      status: enumOf(archivalRunStatuses).optional(),
      runId: uuid().optional(),
    },
    row: archivalRun,
    find: async (query) => listArchivalRuns(db, query),
  });
}

const change = rowSchema(changes, outboxColumns, {
  actor: z.string().openapi({ description: 'Who: `api-key:<id>`, `jwt:<subject>` or `cli:<user>@<host>`.' }),
}).openapi('Change');

/** `GET /v1/audit/changes`: what was changed by hand, newest first. */
export function changeRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  listRoute(app, {
    path: '/v1/audit/changes',
    tags: ['audit'],
    operationId: 'listChanges',
    summary: 'Manual changes: actor, action, before and after; newest first',
    description: 'Forced breakers are in /v1/audit/breaker-events, with `who` and `why`.',
    ...guard('read'),
    filters: {
      ...timeQuery,
      actor: boundedText(512).optional(),
      action: boundedText(64).optional(),
      objectKind: boundedText(64).optional(),
      object: boundedText(2048).optional(),
    },
    row: change,
    find: async (query) => listChanges(db, query),
  });
}

const alert = rowSchema(alerts, ['notifiedOpenedAtMs', 'notifiedResolvedAtMs'], {
  rule: z.string().openapi({
    description: 'With its tags: `job_late/cron-archive-data`. docs/operations.md has a runbook for each.',
  }),
  resolvedAtMs: z.number().nullable().openapi({ description: 'Null: it is open.' }),
}).openapi('Alert');

/** `GET /v1/audit/alerts`: the thresholds that were crossed, the last first. */
export function alertRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  listRoute(app, {
    path: '/v1/audit/alerts',
    tags: ['audit'],
    operationId: 'listAlerts',
    summary: 'Alerts, the last opened first',
    description: 'An alert ends by itself when its value is back within the threshold.',
    ...guard('read'),
    filters: {
      ...timeQuery,
      open: queryBoolean().optional().openapi({ description: 'true: not resolved yet; false: resolved.' }),
      rule: boundedText(256).optional(),
    },
    row: alert,
    find: async (query) => listAlerts(db, query),
  });
}

/** The header of an answer that was read from a replica: how far it is behind, in ms. */
const BEHIND_HEADER = 'Spillway-Behind-Ms';

/** How often a replica is asked, in ms. */
const ASK_EVERY_MS = 1_000;

/** Adds {@link BEHIND_HEADER} to answers; not where the database turns out to be no replica. */
export function sayHowFarBehind(reads: Queryable): MiddlewareHandler {
  const behind = keepFor(ASK_EVERY_MS, async () => readBehindMs(reads));
  // A list that could be read is a valid answer, even if its age is unknown.
  const told = async (): Promise<number | null> => behind().catch(() => Number.POSITIVE_INFINITY);
  return async (context, answer) => {
    await answer();
    if (!context.res.ok || context.req.method !== 'GET') return;
    const ms = await told();
    if (ms !== null) context.header(BEHIND_HEADER, Number.isFinite(ms) ? String(Math.ceil(ms)) : 'unknown');
  };
}
