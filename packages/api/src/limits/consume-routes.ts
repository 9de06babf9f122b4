import { z } from '@hono/zod-openapi';
import { capacityOf, type Decision, type Limiter, LimiterInputError, type Policy } from '@spillway/limiter';
import { rateLimitHeaders } from '@spillway/limiter/http';
import { securityOf } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { json, jsonBody, problemResponses } from '../openapi/responses.ts';
import { type DecisionDeps, decisionRoute, findPolicy } from './decision-route.ts';
import { omitUndefined, finite } from '../openapi/fields.ts';
import {
  combinedSchema,
  decisionSchema,
  toDecisionJson,
  batchRequest,
  combinedOf,
  combinedRequest,
  type DecisionRequest,
  decisionRequest,
  limiterRequest,
  slotRequest,
  batchSchema,
  toDecisionFields,
} from './decision-schema.ts';

const params = z.object({ policy: z.string() });
const common = { method: 'post' as const, tags: ['limits'], security: securityOf('decide') };
const refused = problemResponses(404);
const refusedOnce = problemResponses(404, 409, 422);
const named = {
  headers: z.object({
    'Idempotency-Key': z.string().min(1).max(255).optional().openapi({
      description:
        'A retry with the same key is not carried out: it gets the answer of the first. `Idempotency-Result` says `stored`, `replayed` or `not-stored`.',
    }),
  }),
};

/**
 * What a program asks for another language: decisions, slots, refunds and penalties. The answer is 200 with the decision
 * whichever way it fell, also where Redis gave none: a denial is a value here; it is for the caller to refuse its own client.
 */
export function consumeRoutes(app: ApiApp, deps: DecisionDeps): void {
  oneRoutes(app, deps);
  manyRoutes(app, deps);
  slotRoutes(app, deps);
}

function oneRoutes(app: ApiApp, deps: DecisionDeps): void {
  const { limiter } = deps;
  const decided = 'The decision, allowed or denied.';
  const operations = [
    ['consume', 'Charge a request if it fits; under a concurrency policy, take a slot', decided],
    ['peek', 'The answer that consume would give', decided],
    ['penalize', 'Charge a subject whether it fits or not, as a penalty', 'The state of the subject afterwards.'],
    ['reward', 'Return units, as a refund for work that failed', 'The state of the subject afterwards.'],
  ] as const;
  for (const [operation, summary, answer] of operations) {
    decisionRoute(app, deps, {
      description: {
        ...common,
        path: `/v1/limits/{policy}/${operation}`,
        operationId: operation,
        summary,
        request: { params, body: jsonBody(decisionRequest), ...(operation === 'peek' ? {} : named) },
        responses: { 200: json(decisionSchema, answer), ...(operation === 'peek' ? refused : refusedOnce) },
      },
      schema: decisionRequest,
      charges: operation !== 'peek',
      handle: async (body, name) => {
        const policy = findPolicy(limiter, name, body.subject);
        const decision = await limiter[operation](name, ...limiterRequest(body));
        return { json: JSON.stringify(toDecisionJson(decision, policy)) };
      },
    });
  }
}

function manyRoutes(app: ApiApp, deps: DecisionDeps): void {
  const { limiter } = deps;
  decisionRoute(app, deps, {
    description: {
      ...common,
      path: '/v1/limits/{policy}/batch',
      operationId: 'consumeBatch',
      summary: 'Up to 100 requests under one policy in one trip, each decided on its own',
      description: 'Decided in their order. One that can not be read refuses all of it, and nothing is charged then.',
      request: { params, body: jsonBody(batchRequest), ...named },
      responses: { 200: json(batchSchema, 'One decision per request, in their order.'), ...refusedOnce },
    },
    schema: batchRequest,
    charges: true,
    handle: async ({ requests, headers = false }, name) => ({
      json: await consumeEach(limiter, name, requests, headers),
    }),
  });
  decisionRoute(app, deps, {
    description: {
      ...common,
      path: '/v1/limits/consume-all',
      operationId: 'consumeAll',
      summary: 'Charge up to 64 requests under several policies if each fits, or none of them',
      request: { body: jsonBody(combinedRequest), ...named },
      responses: { 200: json(combinedSchema, 'Whether all were admitted, and each decision.'), ...refusedOnce },
    },
    schema: combinedRequest,
    charges: true,
    handle: async ({ requests }) => {
      const policies = requests.map(({ policy, subject }) => findPolicy(limiter, policy, subject));
      const { decisions, retryAfterMs, ...rest } = await limiter.consumeAll(requests.map(combinedOf));
      const each = decisions.map(toDecisionFields);
      const headers = rateLimitHeaders(decisions, policies);
      return { json: JSON.stringify({ ...rest, retryAfterMs: finite(retryAfterMs), decisions: each, headers }) };
    },
  });
}

function slotRoutes(app: ApiApp, deps: DecisionDeps): void {
  const { limiter } = deps;
  const operations = [
    ['renew', 'Keep a slot for the policy’s windowMs from now', 'Renewed, if it was still held.'],
    ['release', 'Release the slot of a concurrency policy', 'Released, or free already.'],
  ] as const;
  for (const [operation, summary, done] of operations) {
    decisionRoute(app, deps, {
      description: {
        ...common,
        path: `/v1/limits/{policy}/${operation}`,
        operationId: operation,
        summary,
        request: { params, body: jsonBody(slotRequest) },
        responses: { 204: { description: done }, ...refused },
      },
      schema: slotRequest,
      charges: false,
      handle: async ({ subject, slot, ...options }, name) => {
        const policy = findPolicy(limiter, name, subject);
        await limiter[operation](policy.name, subject, slot, omitUndefined(options));
        return {};
      },
    });
  }
}

/** All in one event-loop turn, so that they travel to Redis together. */
async function consumeEach(
  limiter: Limiter,
  name: string,
  requests: readonly DecisionRequest[],
  headers: boolean,
): Promise<string> {
  const policies = requests.map(({ subject }) => findPolicy(limiter, name, subject));
  // Before anything is charged: what the schema can't know.
  for (const [index, { cost = 1 }] of requests.entries()) {
    const most = capacityOf(at(policies, index));
    if (cost > most) throw new LimiterInputError(`requests.${index}.cost`, `must be a whole number from 1 to ${most}`);
  }
  // No function in between that would make a promise of its own for each.
  const asked: Promise<Decision>[] = [];
  for (const request of requests) asked.push(limiter.consume(name, ...limiterRequest(request)));
  const decisions = await Promise.all(asked);
  return JSON.stringify({
    decisions: headers
      ? decisions.map((decision, index) => toDecisionJson(decision, at(policies, index)))
      : decisions.map(toDecisionFields),
  });
}

function at(policies: readonly Policy[], index: number): Policy {
  const policy = policies[index];
  if (policy === undefined) throw new Error('there is one policy per request');
  return policy;
}
