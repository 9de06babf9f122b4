import { createRoute, z } from '@hono/zod-openapi';
import { type Limiter, type LivePolicies, MAX_BLOCK_MS } from '@spillway/limiter';
import { byHand } from '../audit/recorder.ts';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import {
  action,
  strictObject,
  milliseconds,
  subject,
  why,
  wholeNumber,
  omitUndefined,
  finite,
} from '../openapi/fields.ts';
import { ifChanged, sendTagged, taggedJson } from '../openapi/etag.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { next, pageOf, pageQuery } from '../openapi/rows.ts';
import { findPolicy } from './decision-route.ts';
import { reachOf, reachSchema } from '../policies/reach.ts';

const params = z.object({ policy: z.string() });
const duration = wholeNumber(1, MAX_BLOCK_MS)
  .optional()
  .openapi({ description: 'How long, in ms. Absent: without an end.' });
const body = strictObject({ subject, action: action.optional(), why }).openapi('SubjectRequest');
const blockBody = strictObject({ subject, action: action.optional(), durationMs: duration, why }).openapi(
  'BlockRequest',
);
const everywhereBody = strictObject({ subject, durationMs: duration, why }).openapi('BlockEverywhereRequest');
const namedBody = strictObject({ subject, why }).openapi('UnblockEverywhereRequest');

const blocked = z
  .object({
    subject: z.string(),
    blockedUntilMs: milliseconds.openapi({ description: 'null = until it is unblocked.' }),
  })
  .openapi('BlockedSubject');

/** What is done about one subject, under one policy or under all. */
export function subjectRoutes(app: ApiApp, limiter: Limiter, guard: Guard): void {
  resetRoute(app, limiter, guard);
  blockRoutes(app, limiter, guard);
  if (limiter.live !== undefined) {
    blockedRoute(app, limiter.live, guard);
    everywhereRoutes(app, limiter.live, guard);
  }
}

function blockedRoute(app: ApiApp, live: LivePolicies, guard: Guard): void {
  const blocks = createRoute({
    method: 'get',
    path: '/v1/subjects/blocked',
    tags: ['limits'],
    operationId: 'listBlockedSubjects',
    summary: 'Subjects that are refused under every policy and action',
    ...guard('read'),
    request: { query: strictObject(pageQuery), headers: ifChanged },
    responses: { ...taggedJson(z.object({ rows: z.array(blocked), next }), 'One page, by subject.') },
  });
  app.openapi(blocks, async (context) => {
    const rows = (await live.list()).blocked.map((block) => ({
      subject: block.subject,
      blockedUntilMs: finite(block.blockedUntilMs),
    }));
    const found = pageOf(rows, (row) => row.subject, context.req.valid('query'));
    return sendTagged(context, found);
  });
}

function resetRoute(app: ApiApp, limiter: Limiter, guard: Guard): void {
  const reset = createRoute({
    method: 'post',
    path: '/v1/limits/{policy}/reset',
    tags: ['limits'],
    operationId: 'reset',
    summary: 'Delete a subject’s usage and its block',
    ...guard('operate'),
    request: { params, body: jsonBody(body) },
    responses: { 204: { description: 'Forgotten.' }, ...problemResponses(404) },
  });
  app.openapi(reset, async (context) => {
    const { subject: who, why: reason, ...options } = context.req.valid('json');
    const { name } = findPolicy(limiter, context.req.valid('param').policy, who);
    await limiter.reset(name, who, { ...omitUndefined(options), ...byHand(context, reason) });
    return context.body(null, 204);
  });
}

function blockRoutes(app: ApiApp, limiter: Limiter, guard: Guard): void {
  const block = createRoute({
    method: 'post',
    path: '/v1/limits/{policy}/block',
    tags: ['limits'],
    operationId: 'block',
    summary: 'Refuse a subject under one policy and action from now on',
    ...guard('operate'),
    request: { params, body: jsonBody(blockBody) },
    responses: {
      200: json(z.object({ blockedUntilMs: milliseconds }), 'The end; null = never.'),
      ...problemResponses(404),
    },
  });
  app.openapi(block, async (context) => {
    const { subject: who, why: reason, ...options } = context.req.valid('json');
    const { name } = findPolicy(limiter, context.req.valid('param').policy, who);
    const end = await limiter.block(name, who, { ...omitUndefined(options), ...byHand(context, reason) });
    return context.json({ blockedUntilMs: finite(end) }, 200);
  });

  const unblock = createRoute({
    method: 'post',
    path: '/v1/limits/{policy}/unblock',
    tags: ['limits'],
    operationId: 'unblock',
    summary: 'Lift a block; the usage stays',
    ...guard('operate'),
    request: { params, body: jsonBody(body) },
    responses: {
      200: json(z.object({ wasBlocked: z.boolean() }), 'Whether there was a block.'),
      ...problemResponses(404),
    },
  });
  app.openapi(unblock, async (context) => {
    const { subject: who, why: reason, ...options } = context.req.valid('json');
    const { name } = findPolicy(limiter, context.req.valid('param').policy, who);
    const wasBlocked = await limiter.unblock(name, who, { ...omitUndefined(options), ...byHand(context, reason) });
    return context.json({ wasBlocked }, 200);
  });
}

function everywhereRoutes(app: ApiApp, live: LivePolicies, guard: Guard): void {
  const block = createRoute({
    method: 'post',
    path: '/v1/subjects/block',
    tags: ['limits'],
    operationId: 'blockEverywhere',
    summary: 'Refuse a subject under every policy and action, for a time or until it is unblocked',
    ...guard('operate'),
    request: { body: jsonBody(everywhereBody) },
    responses: { 200: json(z.object({ blockedUntilMs: milliseconds }).and(reachSchema), 'The end; null = never.') },
  });
  app.openapi(block, async (context) => {
    const { subject: who, why: reason, durationMs } = context.req.valid('json');
    const done = await live.blockEverywhere(who, { ...omitUndefined({ durationMs }), ...byHand(context, reason) });
    return context.json({ blockedUntilMs: finite(done.blockedUntilMs), ...reachOf(done) }, 200);
  });

  const unblock = createRoute({
    method: 'post',
    path: '/v1/subjects/unblock',
    tags: ['limits'],
    operationId: 'unblockEverywhere',
    summary: 'End the block of a subject under every policy; blocks of single policies stay',
    ...guard('operate'),
    request: { body: jsonBody(namedBody) },
    responses: { 200: json(z.object({ wasBlocked: z.boolean() }).and(reachSchema), 'Whether there was such a block.') },
  });
  app.openapi(unblock, async (context) => {
    const { subject: who, why: reason } = context.req.valid('json');
    const done = await live.unblockEverywhere(who, byHand(context, reason));
    return context.json({ wasBlocked: done.existed, ...reachOf(done) }, 200);
  });
}
