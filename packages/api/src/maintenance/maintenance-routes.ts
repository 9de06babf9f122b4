import { createRoute, z } from '@hono/zod-openapi';
import { problemResponse } from '@spillway/limiter/http';
import { type JobReport, type MaintenanceJobName, maintenanceJobNames } from '@spillway/worker';
import type { Recorder } from '../audit/recorder.ts';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { booleanText, members } from '../openapi/fields.ts';
import { json, refusals } from '../openapi/responses.ts';
import { refusal } from '../problems.ts';
import { readBody } from '../read-body.ts';
import type { MaintenanceControl } from './maintenance-control.ts';

// Not strict: whoever schedules it may send along what it likes, as pg_net's users do.
const body = z
  .looseObject(
    {
      dryRun: z
        .boolean({ error: 'must be true or false' })
        .optional()
        .openapi({ description: 'Say what would be done, and do nothing.', default: false }),
    },
    { error: 'must be a JSON object' },
  )
  .openapi('MaintenanceRequest');

const report = z
  .object({
    job: z.string(),
    runId: z.string().nullable().openapi({ description: 'As in /v1/audit/archival-runs.' }),
    status: z.string().openapi({ description: 'completed, or partial when something is left for the next run.' }),
    dryRun: z.boolean(),
    durationMs: z.number(),
    crashedBefore: z.number().openapi({ description: 'Tables of earlier runs that died, found and marked now.' }),
    tables: z.array(z.unknown()),
  })
  .openapi('MaintenanceReport');

const running = z.object({ job: z.string(), status: z.literal('running'), dryRun: z.boolean() }).openapi('RunningJob');

const operationIds: Readonly<Record<MaintenanceJobName, string>> = {
  'cron-cleanup-rate-limits': 'cleanUpRateLimits',
  'cron-create-partitions': 'createPartitions',
  'cron-archive-data': 'archiveData',
};

/** What the routes work with. */
export interface MaintenanceRouteDeps {
  readonly control: MaintenanceControl;
  readonly record: Pick<Recorder, 'change'>;
}

/** `POST /functions/v1/<job>`: what pg_cron and pg_net call, as often as they like. */
export function maintenanceRoutes(app: ApiApp, deps: MaintenanceRouteDeps, guard: Guard): void {
  for (const job of maintenanceJobNames) jobRoute(app, deps, guard, job);
}

function jobRoute(app: ApiApp, { control, record }: MaintenanceRouteDeps, guard: Guard, job: MaintenanceJobName): void {
  const { middleware, security } = guard('maintain');
  const route = createRoute({
    method: 'post',
    path: `/functions/v1/${job}`,
    tags: ['maintenance'],
    operationId: operationIds[job],
    summary: `Run ${job} now, unless it runs already`,
    security,
    middleware: [middleware, readBody({ optional: true })],
    request: {
      query: members({ dryRun: booleanText().optional() }),
      body: { content: { 'application/json': { schema: body } } },
    },
    responses: {
      200: json(report, 'What was done, table by table.'),
      202: json(running, 'It runs, here or elsewhere; its rows in /v1/audit/archival-runs tell how it ends.'),
      ...refusals(400, 401, 403, 413, 415, 500, 503),
    },
  });
  app.openapi(route, async (context) => {
    const dryRun = context.req.valid('json').dryRun ?? context.req.valid('query').dryRun ?? false;
    const change = { action: 'run_job', objectKind: 'job', object: job, after: { dryRun } };
    // The run goes on without the row's transaction: it may take an hour.
    const run = await record.change(context, change, async () => ({ ended: control.run(job, { dryRun }) }));
    const ended = await within(run.ended, control.answerWithinMs);
    if (ended?.status === 'failed') throw refusal(failedProblem(ended));
    if (ended !== undefined && ended.status !== 'busy')
      return context.json({ ...ended, tables: [...ended.tables] }, 200);
    context.header('Location', `/v1/audit/archival-runs?jobName=${job}`);
    return context.json({ job, status: 'running' as const, dryRun }, 202);
  });
}

/** Why it failed is in the run's history, and in the log. */
function failedProblem({ job, runId }: JobReport): Response {
  const detail = `${job} failed: see /v1/audit/archival-runs?runId=${runId}.`;
  return problemResponse({ status: 500, title: 'The run failed', detail, job, runId });
}

/** Undefined when time runs out first. */
async function within<Result>(promise: Promise<Result>, ms: number): Promise<Result | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), ms)));
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
