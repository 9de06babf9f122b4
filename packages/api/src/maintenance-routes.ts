import { type JobRun, type Queryable, readRun } from '@spillway/db';
import { findRequestedRun, type JobName, requestRun, jobNames } from '@spillway/worker';
import type { WorkerQueues } from './queues.ts';
import { setTimeout as delay } from 'node:timers/promises';
import { createRoute, z } from '@hono/zod-openapi';
import type { Context } from 'hono';
import type { Recorder } from './audit/recorder.ts';
import type { Guard } from './auth/require-scope.ts';
import type { ApiApp, ApiEnv } from './openapi/api-app.ts';
import { queryBoolean, strictObject, enumOf, uuid } from './openapi/fields.ts';
import { json, problemResponses } from './openapi/responses.ts';
import { problem, problemException, unknownThingProblem } from './problems.ts';
import { readBody } from './read-body.ts';
import { archivalRun } from './audit/trail-routes.ts';

/** A run that waits in the queue: no worker has begun it. */
type QueuedRun = Omit<JobRun, 'status' | 'startedAtMs'> & {
  readonly status: 'queued';
  readonly startedAtMs: null;
};

/** What the API asks of the workers, which do maintenance. */
export interface MaintenanceControl {
  /** How long a request waits for a run's end before it is answered that the run goes on, in ms. */
  readonly answerWithinMs: number;
  /**
   * Asks the workers to run a job; while such a request waits or runs, another one is the same.
   * @returns the run's id for {@link find}
   * @throws {QueueUnavailableError} when the queue's Redis can't be reached
   */
  start(job: JobName, options: { readonly dryRun: boolean }): Promise<string>;
  /** The run, or the one that went on already when it was asked for; undefined when there is none. */
  find(runId: string): Promise<JobRun | QueuedRun | undefined>;
}

/** Puts runs into the workers' queue and reads what became of them; nothing is run in this process. */
export function maintenanceControl(options: {
  readonly queues: Pick<WorkerQueues, 'maintenance' | 'ask'>;
  readonly db: Queryable;
  /** pg_net gives up after 5 s, and after 1 s in its first versions. @default 500 */
  readonly answerWithinMs?: number;
}): MaintenanceControl {
  const { queues, db, answerWithinMs = 500 } = options;
  return {
    answerWithinMs,
    start: async (job, { dryRun }) => queues.ask(async () => requestRun(queues.maintenance, job, dryRun)),
    find: async (runId) => {
      const run = await readRun(db, runId);
      if (run !== undefined) return run;
      const requested = await queues.ask(async () => findRequestedRun(queues.maintenance, runId));
      if (requested === undefined) return undefined;
      if (requested.kind === 'joined') return readRun(db, requested.runId);
      return queued(runId, requested.job, requested.dryRun);
    },
  };
}

function queued(id: string, job: string, dryRun: boolean): QueuedRun {
  const times = { dueAtMs: null, startedAtMs: null, finishedAtMs: null, durationMs: null };
  const none = { attempts: 0, errorMessage: null, details: {}, tables: [] };
  return { id, job, trigger: 'http', dryRun, status: 'queued', ...times, ...none };
}

// Not strict: what schedules it may send along what it likes, as pg_net's users do.
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
const query = strictObject({ dryRun: queryBoolean().optional() });

const time = z.number().nullable();
const runView = z
  .object({
    id: z.string(),
    job: z.string(),
    trigger: z.enum(['schedule', 'http', 'cli']),
    dueAtMs: time.openapi({ description: 'The moment of the schedule that it is for; null for a run by hand.' }),
    dryRun: z.boolean(),
    status: z
      .enum(['queued', 'running', 'completed', 'partial', 'failed', 'crashed', 'baseline'])
      .openapi({ description: 'partial: something is left for the next run. crashed: its process died.' }),
    attempts: z.number(),
    startedAtMs: time.openapi({ description: 'Of the last attempt.' }),
    finishedAtMs: time,
    durationMs: time,
    errorMessage: z.string().nullable(),
    details: z.unknown(),
    tables: z.array(archivalRun),
  })
  .openapi('MaintenanceRun');
type RunView = z.output<typeof runView>;

/** The guide's names for its three jobs, by which pg_cron calls them. */
const functions: readonly (readonly [JobName, operationId: string])[] = [
  ['cron-cleanup-rate-limits', 'cleanUpRateLimits'],
  ['cron-create-partitions', 'createPartitions'],
  ['cron-archive-data', 'archiveData'],
];

/** How often it is looked whether a run has ended, in ms. */
const LOOK_MS = 25;

/** What the routes work with. */
interface MaintenanceRouteDeps {
  readonly control: MaintenanceControl;
  readonly record: Pick<Recorder, 'change'>;
}

/** `/v1/maintenance`, and `POST /functions/v1/<job>`: what pg_cron and pg_net call, as often as they like. */
export function maintenanceRoutes(app: ApiApp, deps: MaintenanceRouteDeps, guard: Guard): void {
  const { control } = deps;
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
  const one = createRoute({
    method: 'get',
    path: '/v1/maintenance/runs/{id}',
    operationId: 'getMaintenanceRun',
    tags: ['maintenance'],
    summary: 'One run, with what was done table by table',
    ...guard('read', 'maintain'),
    request: { params: z.object({ id: uuid() }) },
    responses: { 200: json(runView, 'The run.'), ...problemResponses(400, 401, 403, 404, 503) },
  });
  app.openapi(one, async (context) => {
    const found = await control.find(context.req.valid('param').id);
    if (found === undefined) throw problemException(unknownThingProblem('run'));
    return context.json(viewOf(found), 200);
  });
}

function runs(summary: string, guard: Guard) {
  const { middleware, security } = guard('maintain');
  return {
    tags: ['maintenance'],
    summary,
    security,
    middleware: [middleware, readBody({ optional: true })],
    responses: {
      200: json(runView, 'It ended.'),
      202: json(runView, 'It waits for a worker or runs: see Location.'),
      ...problemResponses(400, 401, 403, 413, 415, 500, 503),
    },
  };
}

interface DryRunRequest {
  valid(target: 'json' | 'query'): { readonly dryRun?: boolean | undefined };
}

function dryRunOf(request: DryRunRequest): boolean {
  return request.valid('json').dryRun ?? request.valid('query').dryRun ?? false;
}

async function answer(
  context: Context<ApiEnv>,
  { control, record }: MaintenanceRouteDeps,
  job: JobName,
  dryRun: boolean,
) {
  const change = { action: 'run_job', objectKind: 'job', object: job, after: { dryRun } };
  const id = await record.change(context, change, async () => control.start(job, { dryRun }));
  const run = await look(control, id);
  const place = `/v1/maintenance/runs/${run.id}`;
  if (run.status === 'failed') {
    const detail = `${job} failed: see ${place}.`;
    throw problemException(problem('run-failed', { detail, job, runId: run.id }));
  }
  if (run.finishedAtMs !== null) return context.json(run, 200);
  context.header('Location', place);
  return context.json(run, 202);
}

/** How it stands at its end, or when it is time to answer. */
async function look(control: MaintenanceControl, id: string): Promise<RunView> {
  const until = performance.now() + control.answerWithinMs;
  for (;;) {
    const run = await control.find(id);
    if (run === undefined) throw new Error(`the run ${id} vanished`);
    if (run.finishedAtMs !== null || performance.now() >= until) return viewOf(run);
    await delay(LOOK_MS);
  }
}

function viewOf(run: NonNullable<Awaited<ReturnType<MaintenanceControl['find']>>>): RunView {
  return { ...run, tables: [...run.tables] };
}
