import { type JobName, jobNames } from '@spillway/worker';
import { createRoute, z } from '@hono/zod-openapi';
import { archivalRunStatuses, jobRuns, runTriggers } from '@spillway/db/schema';
import type { Context } from 'hono';
import type { Guard } from './auth/require-scope.ts';
import { askForRun, type MaintenanceControl, type MaintenanceRouteDeps, runView, viewOf } from './maintenance-runs.ts';
import type { ApiApp, ApiEnv } from './openapi/api-app.ts';
import { boundedText, enumOf, queryBoolean, strictObject, trueOrFalse, uuid } from './openapi/fields.ts';
import { json, problemResponses } from './openapi/responses.ts';
import { rowSchema, timeQuery, listRoute } from './openapi/rows.ts';
import { problemException, unknownThingProblem } from './problems.ts';

// Not strict: what schedules it may send along what it likes, as pg_net's users do.
const body = z
  .looseObject(
    {
      dryRun: trueOrFalse
        .optional()
        .openapi({ description: 'Say what would be done, and do nothing.', default: false }),
    },
    { error: 'must be a JSON object' },
  )
  .openapi('MaintenanceRequest');
const query = strictObject({ dryRun: queryBoolean().optional() });

/** The guide's names for its three jobs, by which pg_cron calls them. */
const functions: readonly (readonly [JobName, operationId: string])[] = [
  ['cron-cleanup-rate-limits', 'cleanUpRateLimits'],
  ['cron-create-partitions', 'createPartitions'],
  ['cron-archive-data', 'archiveData'],
];

const runSchema = runView(z.unknown()).openapi('MaintenanceRun');

/** `/v1/maintenance`, and `POST /functions/v1/<job>`: what pg_cron and pg_net call, as often as they like. */
export function maintenanceRoutes(app: ApiApp, deps: MaintenanceRouteDeps, guard: Guard): void {
  const [first = 'cron-archive-data', ...others] = jobNames;
  const params = z.object({ job: enumOf([first, ...others]) });
  const run = createRoute({
    method: 'post',
    path: '/v1/maintenance/{job}',
    operationId: 'runJob',
    ...runs('Have a worker run a job now, unless it runs already', guard),
    request: { params, query, body: { content: { 'application/json': { schema: body } } } },
  });
  app.openapi(run, async (context) => answer(context, deps, context.req.valid('param').job, dryRunOf(context.req)));
  for (const [job, operationId] of functions) {
    const route = createRoute({
      method: 'post',
      path: `/functions/v1/${job}`,
      operationId,
      ...runs(`Have a worker run ${job} now, unless it runs already`, guard),
      request: { query, body: { content: { 'application/json': { schema: body } } } },
    });
    app.openapi(route, async (context) => answer(context, deps, job, dryRunOf(context.req)));
  }
  readRoutes(app, deps.control, guard);
}

const runRow = rowSchema(jobRuns, [], {}).openapi('MaintenanceRunRow');

function readRoutes(app: ApiApp, control: MaintenanceControl, guard: Guard): void {
  // Who may ask for a run may look at it: a replay is asked for with operate too.
  const guarded = guard('read', 'maintain', 'operate');
  listRoute(app, {
    path: '/v1/maintenance/runs',
    operationId: 'listMaintenanceRuns',
    tags: ['maintenance'],
    summary: 'Runs of maintenance jobs, scheduled or requested, the last begun first',
    description: 'One that waits for a worker is not among them. The tables of a run are in /v1/audit/archival-runs.',
    ...guarded,
    filters: {
      ...timeQuery,
      job: boundedText(64).optional(),
      status: enumOf(archivalRunStatuses).optional(),
      trigger: enumOf(runTriggers).optional(),
    },
    row: runRow,
    find: async (asked) => control.list(asked),
  });
  const one = createRoute({
    method: 'get',
    path: '/v1/maintenance/runs/{id}',
    operationId: 'getMaintenanceRun',
    tags: ['maintenance'],
    summary: 'One run, with what was done table by table',
    ...guarded,
    request: { params: z.object({ id: uuid() }) },
    responses: { 200: json(runSchema, 'The run.'), ...problemResponses(404) },
  });
  app.openapi(one, async (context) => {
    const found = await control.find(context.req.valid('param').id);
    if (found === undefined) throw problemException(unknownThingProblem('run'));
    return context.json(viewOf(found), 200);
  });
}

async function answer(context: Context<ApiEnv>, deps: MaintenanceRouteDeps, job: JobName, dryRun: boolean) {
  const { run, status } = await askForRun(context, deps, { job, dryRun });
  return context.json(run, status);
}

function runs(summary: string, guard: Guard) {
  return {
    tags: ['maintenance'],
    summary,
    ...guard('maintain'),
    responses: {
      200: json(runSchema, 'It ended.'),
      202: json(runSchema, 'It waits for a worker or runs: see Location.'),
      ...problemResponses(500),
    },
  };
}

interface DryRunRequest {
  valid(target: 'json' | 'query'): { readonly dryRun?: boolean | undefined };
}

function dryRunOf(request: DryRunRequest): boolean {
  return request.valid('json').dryRun ?? request.valid('query').dryRun ?? false;
}
