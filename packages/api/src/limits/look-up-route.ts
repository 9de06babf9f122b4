import { createRoute, z } from '@hono/zod-openapi';
import { blockedActions, listBlocks, type Queryable } from '@spillway/db';
import {
  DEFAULT_ACTION,
  entriesFor,
  type Limiter,
  type Policy,
  policyFor,
  type SubjectEntries,
} from '@spillway/limiter';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { action, strictObject, milliseconds, subject, finite } from '../openapi/fields.ts';
import { json, jsonBody } from '../openapi/responses.ts';

/** What the route works with. */
interface LookUpDeps {
  readonly limiter: Limiter;
  /** Where the blocks are read. */
  readonly db: Queryable;
}

/** Blocks of the subject that are read; its windows are asked for under their policies and actions. */
const MOST_BLOCKS = 200;

/** Windows that are asked for in one look-up: each is a command for Redis. */
const MOST_WINDOWS = 200;

/** Actions for which any subject was blocked within this time are included, in ms. */
const ACTIONS_OF_MS = 24 * 3_600_000;

const body = strictObject({ subject, action: action.optional() }).openapi('LookUpRequest');

const window = z.object({
  policy: z.string(),
  action: z.string(),
  mode: z.enum(['enforce', 'shadow']),
  allowed: z.boolean().openapi({ description: 'Whether a request of cost 1 would be admitted now.' }),
  reason: z.string(),
  limit: z.number().openapi({ description: 'With the override that holds for the subject.' }),
  remaining: z.number(),
  resetAfterMs: milliseconds,
  retryAfterMs: milliseconds,
  blockedUntilMs: milliseconds.optional().openapi({ description: 'Absent: no block is active; null: it has no end.' }),
});

/** A row of the trail. A column that is renamed is an error here. */
type BlockRow = Awaited<ReturnType<typeof listBlocks>>['rows'][number];

const block = z.object({
  id: z.string(),
  tier: z.string(),
  action: z.string(),
  mode: z.enum(['enforce', 'shadow']),
  requestCount: z.number(),
  deniedCount: z.number(),
  createdAtMs: z.number(),
  blockedUntilMs: milliseconds.openapi({ description: 'null: it has no end.' }),
} satisfies Partial<Record<keyof BlockRow, z.ZodType>>);

const override = z.object({
  policy: z.string(),
  subject: z.string().openapi({ description: 'The subject, or the pattern that it fits.' }),
  limit: z.number().optional(),
  windowMs: z.number().optional(),
  blockMs: z.number().optional(),
  mode: z.enum(['enforce', 'shadow']).optional(),
});

const answer = z
  .object({
    subject: z.string(),
    windows: z.array(window).openapi({
      description:
        'Under each policy: the default action, the requested action, those that the subject was blocked for, and those that any subject was blocked for within a day.',
    }),
    windowsLeftOut: z.number().openapi({ description: `How many more there would be: ${MOST_WINDOWS} are looked at.` }),
    blocks: z.array(block).openapi({ description: `The newest, ${MOST_BLOCKS} at most.` }),
    moreBlocks: z.boolean().openapi({ description: 'Whether there are older ones: see GET /v1/audit/blocks.' }),
    overrides: z.array(override).openapi({ description: 'That fit the subject; of each policy the first holds.' }),
    allowed: z.array(z.string()).openapi({ description: 'Entries of the allow list that fit.' }),
    denied: z.array(z.string()).openapi({ description: 'Entries of the deny list that fit.' }),
    blockedEverywhereUntilMs: milliseconds
      .optional()
      .openapi({ description: 'Absent when it is not blocked everywhere; null = until it is unblocked.' }),
  })
  .openapi('LookUp');

/** `POST /v1/subjects/look-up`: all that is known of one subject. By POST: a subject in an address ends up in logs. */
export function lookUpRoute(app: ApiApp, deps: LookUpDeps, guard: Guard): void {
  const route = createRoute({
    method: 'post',
    path: '/v1/subjects/look-up',
    tags: ['limits'],
    operationId: 'lookUpSubject',
    summary: 'The windows, blocks, overrides and list entries of one subject; changes nothing',
    ...guard('read'),
    request: { body: jsonBody(body) },
    responses: { 200: json(answer, 'As it is now.') },
  });
  app.openapi(route, async (context) => {
    const { subject: who, action: asked } = context.req.valid('json');
    return context.json(await lookUp(deps, who, asked), 200);
  });
}

async function lookUp({ limiter, db }: LookUpDeps, who: string, asked: string | undefined) {
  const [blocks, others, entries] = await Promise.all([
    listBlocks(db, { identifier: who, limit: MOST_BLOCKS }),
    blockedActions(db, ACTIONS_OF_MS),
    entriesOf(limiter, who),
  ]);
  const { policies, blocked, overrides, allowed, denied } = entries;
  const names = new Set([...limiter.policies.keys(), ...policies.map(({ name }) => name)]);
  const actions = [DEFAULT_ACTION, ...(asked === undefined ? [] : [asked])];
  const wanted = new Map(
    [
      ...actions.flatMap((each) => Array.from(names, (tier) => ({ tier, action: each }))),
      ...blocks.rows,
      ...others,
    ].map((place) => [JSON.stringify([place.tier, place.action]), place]),
  );
  const places = [...wanted.values()].filter(({ tier }) => names.has(tier));
  const windows = await Promise.all(
    places.slice(0, MOST_WINDOWS).map((place) => windowOf(limiter, who, place.tier, place.action)),
  );
  const [everywhere] = blocked;
  return {
    subject: who,
    windows,
    windowsLeftOut: Math.max(0, places.length - MOST_WINDOWS),
    blocks: blocks.rows.map((row) => ({ ...block.parse({ ...row, blockedUntilMs: finite(row.blockedUntilMs) }) })),
    moreBlocks: blocks.next !== null,
    overrides: [...overrides],
    allowed: [...allowed],
    denied: [...denied],
    ...(everywhere === undefined ? {} : { blockedEverywhereUntilMs: finite(everywhere.blockedUntilMs) }),
  };
}

type Entries = SubjectEntries & { readonly policies: readonly Policy[] };

async function entriesOf({ live }: Limiter, who: string): Promise<Entries> {
  if (live === undefined) return { policies: [], overrides: [], allowed: [], denied: [], blocked: [] };
  const all = await live.list();
  return { policies: all.policies, ...entriesFor(all, who) };
}

async function windowOf(limiter: Limiter, who: string, policy: string, of: string) {
  const { allowed, reason, limit, remaining, ...times } = await limiter.peek(policy, who, { action: of });
  const { blockedUntilMs } = times;
  return {
    policy,
    action: of,
    mode: policyFor(limiter, policy, who)?.mode ?? 'enforce',
    allowed,
    reason,
    limit,
    remaining,
    resetAfterMs: finite(times.resetAfterMs),
    retryAfterMs: finite(times.retryAfterMs),
    ...(blockedUntilMs === undefined ? {} : { blockedUntilMs: finite(blockedUntilMs) }),
  };
}
