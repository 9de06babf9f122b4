import { createRoute, z } from '@hono/zod-openapi';
import { type Breaker, type BreakerSnapshot, BreakerInputError, type Breakers } from '@spillway/breaker';
import { actorOf } from '../audit/recorder.ts';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { strictObject, enumOf, boundedText, wholeNumber, omitUndefined } from '../openapi/fields.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { next, cursorOf, nameIn, pageQuery } from '../openapi/rows.ts';
import { badRequestProblem, problemException, unknownThingProblem } from '../problems.ts';
import { samePlace } from '../openapi/read-body.ts';
import { type BreakerOverview, listBreakers, presetsOfBreaker, type Queryable } from '@spillway/db';

const none = z.number().nullable();
const words = z.string().nullable();
const shape = {
  name: z.string(),
  preset: z.string(),
  fleetState: z.enum(['closed', 'open', 'half_open', 'forced_open', 'forced_closed']),
  epoch: z.number(),
  sinceMs: none,
  refusesForMs: none.openapi({ description: 'In ms. 0: nothing is refused; null: without an end.' }),
  openings: z.number().openapi({ description: 'In a row.' }),
  reason: words,
  who: words,
  why: words,
  isStale: z.boolean().openapi({
    description:
      'Redis did not answer, or was not asked about a preset that is unknown here: this is what was known before.',
  }),
};
const view = z.object(shape).openapi('Breaker');
const listed = z
  .object({ ...shape, failures: z.number(), timesOpened: z.number(), lastError: words })
  .openapi('ListedBreaker', { description: 'Failures and openings are of the last 24 hours.' });

const params = z.object({ name: boundedText(128).openapi({ example: 'runware' }) });
const query = strictObject({
  preset: boundedText(64)
    .optional()
    .openapi({ description: 'Needed for a name that several presets have, or none yet.' }),
});

const ignored = z.unknown().optional().openapi({ description: 'Ignored.' });
const body = strictObject({
  mode: enumOf(['forced_open', 'forced_closed', 'isolated', 'auto']).openapi({
    description: 'isolated: open without an end; auto: closed, and automatic again.',
  }),
  why: boundedText(500).nullable().optional(),
  // What GET adds: a breaker that was read can be sent back with a mode.
  name: boundedText(128).optional().openapi({ description: 'As in the path.' }),
  preset: boundedText(64).optional().openapi({ description: 'As in the query, or instead of it.' }),
  fleetState: ignored,
  epoch: ignored,
  sinceMs: ignored,
  refusesForMs: ignored,
  openings: ignored,
  reason: ignored,
  who: z.unknown().optional().openapi({ description: 'Ignored: the actor is the sender.' }),
  isStale: ignored,
  forMs: wholeNumber(1, 86_400_000)
    .optional()
    .openapi({ description: 'A forced state ends after this time. Absent: no expiry.' }),
}).openapi('BreakerRequest');

/** `/v1/breakers`: their states, and manual control. */
export function breakerRoutes(app: ApiApp, places: BreakerSources, guard: Guard): void {
  readRoutes(app, places, guard);
  changeRoute(app, places, guard);
}

function readRoutes(app: ApiApp, places: BreakerSources, guard: Guard): void {
  const list = createRoute({
    method: 'get',
    path: '/v1/breakers',
    operationId: 'listBreakers',
    tags: ['breakers'],
    summary: 'All breakers with an event, with their state in the fleet',
    ...guard('read'),
    request: { query: strictObject(pageQuery) },
    responses: { 200: json(z.object({ rows: z.array(listed), next }), 'One page, by name and preset.') },
  });
  app.openapi(list, async (context) => {
    const page = await pageOfBreakers(places, context.req.valid('query'));
    const rows = await Promise.all(
      page.rows.map(async (overview) => {
        const { failures, openings, lastError } = overview;
        const now = view.parse(await currentState(places, overview));
        return Object.assign(now, { failures, timesOpened: openings, lastError });
      }),
    );
    return context.json({ rows, next: page.next }, 200);
  });

  const one = createRoute({
    method: 'get',
    path: '/v1/breakers/{name}',
    operationId: 'getBreaker',
    tags: ['breakers'],
    summary: 'One breaker, with its state in the fleet',
    ...guard('read'),
    request: { params, query },
    responses: { 200: json(view, 'The breaker.'), ...problemResponses(404) },
  });
  app.openapi(one, async (context) => {
    const handle = await findBreaker(places, context.req.valid('param').name, context.req.valid('query').preset);
    const now = await handle.read();
    if (isUnheardOf(now) && !(await isInTrail(places, now))) throw problemException(unknownThingProblem('breaker'));
    return context.json(view.parse(now), 200);
  });
}

function changeRoute(app: ApiApp, places: BreakerSources, guard: Guard): void {
  const put = createRoute({
    method: 'put',
    path: '/v1/breakers/{name}',
    operationId: 'setBreaker',
    tags: ['breakers'],
    summary: 'Force a breaker open or closed, isolate it, or return it to automatic control, in the whole fleet',
    ...guard('operate'),
    request: { params, query, body: jsonBody(body) },
    responses: { 200: json(view, 'As it is now.'), ...problemResponses(404) },
  });
  app.openapi(put, async (context) => {
    const rules = context.req.valid('json');
    const { preset = rules.preset } = context.req.valid('query');
    const { name } = samePlace(rules, { ...context.req.valid('param'), ...omitUndefined({ preset }) });
    const handle = await findBreaker(places, name, preset);
    await change(handle, actorOf(context), rules);
    return context.json(view.parse(await handle.read()), 200);
  });
}

const nameOf = ({ breakerName, preset }: BreakerOverview): string => `${breakerName}\0${preset}`;

/** It was never used nor forced: Redis has no record of it. */
function isUnheardOf({ epoch, version, isStale }: BreakerSnapshot): boolean {
  return epoch === 0 && version === 0 && !isStale;
}

async function change(handle: Breaker, who: string, { mode, why, forMs }: z.output<typeof body>): Promise<void> {
  const by = { who, ...omitUndefined({ why: why ?? undefined }) };
  if (forMs !== undefined && (mode === 'isolated' || mode === 'auto')) {
    throw problemException(badRequestProblem([{ field: 'forMs', detail: `must be absent when mode is ${mode}` }]));
  }
  if (mode === 'auto') await handle.reset(by);
  else if (mode === 'forced_closed') await handle.forceClosed({ ...by, ...omitUndefined({ forMs }) });
  else await handle.forceOpen({ ...by, ...omitUndefined({ forMs }) });
}

/** Failures and openings are counted over so long. */
const DAY_MS = 86_400_000;

/** Where breakers are read: the trail lists them, the control reads their states. */
interface BreakerSources {
  readonly db: Queryable;
  readonly control: BreakerControl;
}

/** A page of the breakers that have left an event, with what happened to them in a day. */
async function pageOfBreakers(
  { db }: BreakerSources,
  { limit = 50, after }: { readonly limit?: number | undefined; readonly after?: string | undefined },
): Promise<{ readonly rows: readonly BreakerOverview[]; readonly next: string | null }> {
  const [breakerName = '', preset = ''] = after === undefined ? [] : nameIn(after).split('\0');
  const behind = after === undefined ? {} : { after: { breakerName, preset } };
  const found = await listBreakers(db, DAY_MS, { limit: limit + 1, ...behind });
  const rows = found.slice(0, limit);
  const end = rows.at(-1);
  return { rows, next: end === undefined || found.length <= limit ? null : cursorOf(nameOf(end)) };
}

/** Whether the breaker has left an event. */
async function isInTrail({ db }: BreakerSources, { name, preset }: Pick<Breaker, 'name' | 'preset'>): Promise<boolean> {
  return (await presetsOfBreaker(db, name)).includes(preset);
}

/** The current state of a known breaker: from Redis, or from the trail if its preset is known only to an application. */
async function currentState(
  { control }: BreakerSources,
  known: BreakerOverview,
): Promise<Omit<BreakerSnapshot, 'state' | 'version'>> {
  let breaker: Breaker;
  try {
    breaker = control.get(known.breakerName, known.preset);
  } catch (error) {
    if (!(error instanceof BreakerInputError)) throw error;
    return stateFromEvents(known);
  }
  return breaker.read();
}

function stateFromEvents(known: BreakerOverview): Omit<BreakerSnapshot, 'state' | 'version'> {
  const { breakerName: name, preset, state, sinceMs, untilMs, reason } = known;
  const refuses = state !== 'closed' && state !== 'forced_closed';
  const refusesForMs = !refuses ? 0 : untilMs === null ? null : Math.max(0, Math.ceil(untilMs - Date.now()));
  const unknown = { epoch: 0, openings: 0, who: null, why: null };
  return { name, preset, fleetState: state, sinceMs, refusesForMs, reason, ...unknown, isStale: true };
}

/**
 * The breaker that a request names. One dependency may have a breaker under several presets, so the preset can be left out
 * only while the trail knows a single one.
 * @throws {HTTPException} that becomes a 400 or 404
 */
async function findBreaker(places: BreakerSources, name: string, preset?: string): Promise<Breaker> {
  if (preset !== undefined) return places.control.get(name, preset);
  const found = await presetsOfBreaker(places.db, name);
  const [one, another] = found;
  if (one === undefined) throw problemException(unknownThingProblem('breaker'));
  if (another === undefined) return places.control.get(name, one);
  const detail = `must say which: ${found.join(', ')}`;
  throw problemException(badRequestProblem([{ field: 'preset', detail }]));
}

/** What the API asks of the breakers. A change holds for the whole fleet. */
export type BreakerControl = Pick<Breakers, 'get'>;
