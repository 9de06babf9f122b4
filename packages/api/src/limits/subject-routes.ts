import { createRoute, z } from '@hono/zod-openapi';
import { DEFAULT_ACTION, type Limiter, MAX_BLOCK_MS } from '@spillway/limiter';
import type { MiddlewareHandler } from 'hono';
import type { ChangeOf, Recorder } from '../audit/recorder.ts';
import type { Guard, Guarded } from '../auth/require-scope.ts';
import { given } from '../given.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { action, members, milliseconds, subject, text, wholeNumber } from '../openapi/fields.ts';
import { json, jsonBody, refusals } from '../openapi/responses.ts';
import { readBody } from '../read-body.ts';
import { finite } from './decision-json.ts';
import { findPolicy } from './find-policy.ts';

const params = z.object({ policy: z.string() });
const body = members({ subject, action: action.optional() }).openapi('SubjectRequest');
const blockBody = members({
  subject,
  action: action.optional(),
  durationMs: wholeNumber(1, MAX_BLOCK_MS).optional().openapi({ description: 'How long; absent = for ever.' }),
}).openapi('BlockRequest');

const releaseBody = members({
  subject,
  action: action.optional(),
  slot: text(64).openapi({ description: 'From the decision.' }),
}).openapi('ReleaseRequest');

const refused = refusals(400, 401, 403, 404, 413, 415, 503);

/** `POST /v1/limits/{policy}/reset`, `/block`, `/unblock` and `/release`: what is done about one subject. */
export function subjectRoutes(app: ApiApp, limiter: Limiter, record: Pick<Recorder, 'change'>, guard: Guard): void {
  resetRoute(app, limiter, record, guard);
  blockRoutes(app, limiter, record, guard);
  releaseRoute(app, limiter, guard);
}

function resetRoute(app: ApiApp, limiter: Limiter, record: Pick<Recorder, 'change'>, guard: Guard): void {
  const reset = createRoute({
    ...common(guard('operate')),
    method: 'post',
    path: '/v1/limits/{policy}/reset',
    operationId: 'reset',
    summary: 'Forget what a subject used, and its block',
    request: { params, body: jsonBody(body) },
    responses: { 204: { description: 'Forgotten.' }, ...refused },
  });
  app.openapi(reset, async (context) => {
    const { subject: who, ...options } = context.req.valid('json');
    const { name } = findPolicy(limiter, context.req.valid('param').policy, who);
    const change = await changeOf(limiter, 'reset', name, who, options);
    await record.change(context, change, () => limiter.reset(name, who, given(options)));
    return context.body(null, 204);
  });
}

function blockRoutes(app: ApiApp, limiter: Limiter, record: Pick<Recorder, 'change'>, guard: Guard): void {
  const block = createRoute({
    ...common(guard('operate')),
    method: 'post',
    path: '/v1/limits/{policy}/block',
    operationId: 'block',
    summary: 'Refuse a subject from now on',
    request: { params, body: jsonBody(blockBody) },
    responses: { 200: json(z.object({ blockedUntil: milliseconds }), 'The end; null = never.'), ...refused },
  });
  app.openapi(block, async (context) => {
    const { subject: who, ...options } = context.req.valid('json');
    const { name } = findPolicy(limiter, context.req.valid('param').policy, who);
    const after = { durationMs: options.durationMs ?? null };
    const change = { ...(await changeOf(limiter, 'block', name, who, { action: options.action })), after };
    const end = await record.change(context, change, () => limiter.block(name, who, given(options)));
    return context.json({ blockedUntil: finite(end) }, 200);
  });

  const unblock = createRoute({
    ...common(guard('operate')),
    method: 'post',
    path: '/v1/limits/{policy}/unblock',
    operationId: 'unblock',
    summary: 'Lift a block; what was used stays used',
    request: { params, body: jsonBody(body) },
    responses: { 200: json(z.object({ wasBlocked: z.boolean() }), 'Whether there was a block.'), ...refused },
  });
  app.openapi(unblock, async (context) => {
    const { subject: who, ...options } = context.req.valid('json');
    const { name } = findPolicy(limiter, context.req.valid('param').policy, who);
    const change = await changeOf(limiter, 'unblock', name, who, options);
    const wasBlocked = await record.change(context, change, () => limiter.unblock(name, who, given(options)));
    return context.json({ wasBlocked }, 200);
  });
}

/** The change of a subject under a policy, with what it has used and its block before it. */
async function changeOf(
  limiter: Limiter,
  what: string,
  policy: string,
  who: string,
  options: { readonly action?: string | undefined },
): Promise<ChangeOf> {
  const { reason, remaining, blockedUntil } = await limiter.peek(policy, who, given(options));
  const before = { reason, remaining, blockedUntil: blockedUntil === undefined ? null : finite(blockedUntil) };
  const object = [policy, options.action ?? DEFAULT_ACTION, who].join('/');
  return { action: what, objectKind: 'block', object, before };
}

/** For whoever asked for the slot: `decide` is enough. */
function releaseRoute(app: ApiApp, limiter: Limiter, guard: Guard): void {
  const release = createRoute({
    ...common(guard('decide')),
    method: 'post',
    path: '/v1/limits/{policy}/release',
    operationId: 'release',
    summary: 'Give back the slot of a concurrency policy',
    request: { params, body: jsonBody(releaseBody) },
    responses: { 204: { description: 'Given back, or free already.' }, ...refused },
  });
  app.openapi(release, async (context) => {
    const { subject: who, slot, ...options } = context.req.valid('json');
    const { name } = findPolicy(limiter, context.req.valid('param').policy, who);
    await limiter.release(name, who, slot, given(options));
    return context.body(null, 204);
  });
}

function common({ middleware, security }: Guarded): {
  readonly tags: string[];
  readonly security: Guarded['security'];
  readonly middleware: MiddlewareHandler[];
} {
  return { tags: ['limits'], security, middleware: [middleware, readBody()] };
}
