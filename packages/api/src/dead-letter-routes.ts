import { createRoute, z } from '@hono/zod-openapi';
import { listDeadLetters, type Queryable, readDeadLetter } from '@spillway/db';
import { auditDeadLetters } from '@spillway/db/schema';
import { MOST_LETTERS, REPLAY_JOB } from '@spillway/worker';
import type { Guard } from './auth/require-scope.ts';
import { askForRun, type MaintenanceRouteDeps, runView } from './maintenance-runs.ts';
import type { ApiApp } from './openapi/api-app.ts';
import {
  boundedText,
  listOf,
  omitUndefined,
  queryBoolean,
  strictObject,
  trueOrFalse,
  uuid,
  wholeNumber,
  why,
} from './openapi/fields.ts';
import { json, jsonBody, problemResponses } from './openapi/responses.ts';
import { LATEST_MS, outboxColumns, rowSchema, timeQuery, listRoute } from './openapi/rows.ts';
import { problemException, unknownThingProblem } from './problems.ts';

const letter = rowSchema(auditDeadLetters, outboxColumns, {}).openapi('DeadLetter');

/** `GET /v1/audit/dead-letters`: events that Postgres refused, newest first; and one of them. */
export function deadLetterRoutes(app: ApiApp, db: Queryable, guard: Guard): void {
  listRoute(app, {
    path: '/v1/audit/dead-letters',
    tags: ['audit'],
    operationId: 'listDeadLetters',
    summary: 'Events that Postgres refused, newest first',
    ...guard('read'),
    filters: {
      ...timeQuery,
      sourceJob: boundedText(128).optional(),
      waiting: queryBoolean().optional().openapi({ description: 'true: not replayed yet; false: replayed.' }),
    },
    row: letter,
    find: async (query) => listDeadLetters(db, query),
  });
  const one = createRoute({
    method: 'get',
    path: '/v1/audit/dead-letters/{id}',
    tags: ['audit'],
    operationId: 'getDeadLetter',
    summary: 'One event that Postgres refused',
    ...guard('read'),
    request: { params: z.object({ id: uuid() }) },
    responses: { 200: json(letter, 'The event, and why.'), ...problemResponses(404) },
  });
  app.openapi(one, async (context) => {
    const found = await readDeadLetter(db, context.req.valid('param').id);
    if (found === undefined) throw problemException(unknownThingProblem('dead-letter'));
    return context.json(found, 200);
  });
}

/** Ids that a request may name. */
const MOST_IDS = 1_000;

/** What selects letters: without any of it, a request would replay all of them by mistake. */
const selecting = ['ids', 'sourceJob', 'sinceMs', 'untilMs'] as const;

const body = strictObject({
  ids: listOf(uuid(), MOST_IDS, 'ids').optional(),
  sourceJob: boundedText(128).optional(),
  sinceMs: wholeNumber(0, LATEST_MS).optional().openapi({ description: 'Kept from this time on; 0 selects all.' }),
  untilMs: wholeNumber(0, LATEST_MS).optional().openapi({ description: 'Kept before this time.' }),
  limit: wholeNumber(1, MOST_LETTERS)
    .optional()
    .openapi({ description: 'At most so many, oldest first.', default: 10_000 }),
  dryRun: trueOrFalse
    .optional()
    .openapi({ description: 'Say what would be stored, and store nothing.', default: false }),
  why,
})
  .superRefine((given, context) => {
    const { sinceMs, untilMs } = given;
    if (selecting.every((name) => given[name] === undefined)) {
      const message = `must have ${selecting.join(', ')}, or several of them: sinceMs 0 selects all`;
      context.addIssue({ code: 'custom', message });
    }
    if (sinceMs !== undefined && untilMs !== undefined && untilMs <= sinceMs) {
      context.addIssue({ code: 'custom', path: ['untilMs'], message: 'must be after sinceMs' });
    }
  })
  .openapi('DeadLetterReplayRequest');

const reasons = z.array(z.object({ id: z.string(), reason: z.string() }));

const replay = z
  .object({
    selection: z.object({
      ids: z.array(z.string()).optional(),
      sourceJob: z.string().optional(),
      sinceMs: z.number().optional(),
      untilMs: z.number().optional(),
      limit: z.number().optional(),
    }),
    selected: z.number().openapi({ description: 'Letters that wait and match.' }),
    replayed: z.number().openapi({ description: 'Their events are stored now; in a dry run: could be.' }),
    replayedIds: z.array(z.string()).openapi({ description: 'The first 1,000 of them.' }),
    refused: z.number().openapi({ description: 'Postgres refused them again; they wait as before.' }),
    refusals: reasons.openapi({ description: 'The first 100 of them.' }),
    skipped: reasons.openapi({ description: 'Ids that were named and do not wait.' }),
    left: z.number().openapi({ description: 'Not tried: more than `limit`, or the run was ended.' }),
  })
  .partial()
  .openapi({ description: 'What it came to so far; without members while it waits for a worker.' });

const replayRun = runView(replay).openapi('DeadLetterReplayRun');

/** `POST /v1/audit/dead-letters/replay`: has a worker store dead letters again. */
export function replayRoute(app: ApiApp, deps: MaintenanceRouteDeps, guard: Guard): void {
  const route = createRoute({
    method: 'post',
    path: '/v1/audit/dead-letters/replay',
    tags: ['audit'],
    operationId: 'replayDeadLetters',
    summary: 'Have a worker store dead letters again, after their cause was repaired',
    description:
      'Each is stored once, however often it is asked for. The same request while one waits or runs is that one; ' +
      'with other letters it is 409.',
    ...guard('operate', 'maintain'),
    request: { body: jsonBody(body) },
    responses: {
      200: json(replayRun, 'It ended; partial: a selected letter waits still.'),
      202: json(replayRun, 'It waits for a worker or runs: see Location.'),
      ...problemResponses(409, 500),
    },
  });
  app.openapi(route, async (context) => {
    const { dryRun = false, why: note, ...selection } = context.req.valid('json');
    const asked = { job: REPLAY_JOB, dryRun, selection: omitUndefined(selection) } as const;
    const { run, status } = await askForRun(context, deps, asked, note);
    return context.json(replayRun.parse(run), status);
  });
}
