import { createRoute, z } from '@hono/zod-openapi';
import { capacityOf, type Decision, type Limiter, LimiterInputError, type Policy } from '@spillway/limiter';
import { denialProblem, problemResponse } from '@spillway/limiter/http';
import type { Guard } from '../auth/require-scope.ts';
import type { ApiApp } from '../openapi/api-app.ts';
import { json, jsonBody, refusals } from '../openapi/responses.ts';
import { refusal } from '../problems.ts';
import { readBody } from '../read-body.ts';
import { type DecisionJson, decisionSchema, toDecisionJson } from './decision-json.ts';
import { batchRequest, type DecisionRequest, decisionRequest, limiterRequest } from './decision-request.ts';
import { findPolicy } from './find-policy.ts';

const params = z.object({ policy: z.string() });

const batch = z.object({ decisions: z.array(decisionSchema) }).openapi('Batch');

/**
 * `POST /v1/limits/{policy}/consume` and `/peek`: decide for a caller in another language. The answer is 200 with the
 * decision whichever way it fell, since a denial is a value here; it is for the caller to refuse its own client. 503 when
 * Redis gave no decision and the policy refuses then.
 */
export function consumeRoutes(app: ApiApp, limiter: Limiter, guard: Guard): void {
  const { middleware, security } = guard('decide');
  const common = { tags: ['limits'], security, middleware: [middleware, readBody()] };
  const refused = refusals(400, 401, 403, 404, 413, 415, 503);
  const consume = createRoute({
    ...common,
    method: 'post',
    path: '/v1/limits/{policy}/consume',
    operationId: 'consume',
    summary: 'Charge a request if it fits, or up to 100 requests in one trip',
    description: 'A batch is decided request by request, in their order; one that can not be read refuses all of it.',
    request: { params, body: jsonBody(z.union([decisionRequest, batchRequest])) },
    responses: { 200: json(z.union([decisionSchema, batch]), 'The decision, or one for each request.'), ...refused },
  });
  app.openapi(consume, async (context) => {
    const { policy: name } = context.req.valid('param');
    const body = context.req.valid('json');
    if ('requests' in body) {
      return context.json({ decisions: await consumeEach(limiter, name, body.requests) }, 200);
    }
    const policy = findPolicy(limiter, name, body.subject);
    const decision = await limiter.consume(name, ...limiterRequest(body));
    return context.json(answerOf(decision, policy), 200);
  });

  const peek = createRoute({
    ...common,
    method: 'post',
    path: '/v1/limits/{policy}/peek',
    operationId: 'peek',
    summary: 'What consume would answer',
    request: { params, body: jsonBody(decisionRequest) },
    responses: { 200: json(decisionSchema, 'The decision, allowed or denied.'), ...refused },
  });
  app.openapi(peek, async (context) => {
    const body = context.req.valid('json');
    const policy = findPolicy(limiter, context.req.valid('param').policy, body.subject);
    const decision = await limiter.peek(policy.name, ...limiterRequest(body));
    return context.json(answerOf(decision, policy), 200);
  });
}

/** All in one event-loop turn, so that they travel to Redis together. */
async function consumeEach(
  limiter: Limiter,
  name: string,
  requests: readonly DecisionRequest[],
): Promise<DecisionJson[]> {
  const asked = requests.map((request) => ({ request, policy: findPolicy(limiter, name, request.subject) }));
  // Before anything is charged: what the schema can't know.
  for (const [index, { request, policy }] of asked.entries()) {
    const most = capacityOf(policy);
    if ((request.cost ?? 1) > most)
      throw new LimiterInputError(`requests.${index}.cost`, `must be a whole number from 1 to ${most}`);
  }
  return Promise.all(
    asked.map(async ({ request, policy }) =>
      toDecisionJson(await limiter.consume(name, ...limiterRequest(request)), policy),
    ),
  );
}

/** @throws {HTTPException} that becomes a 503, for a refusal that is no decision */
function answerOf(decision: Decision, policy: Policy): DecisionJson {
  const answer = toDecisionJson(decision, policy);
  if (decision.reason === 'unavailable' && !decision.allowed) {
    throw refusal(problemResponse(denialProblem(decision), answer.headers));
  }
  return answer;
}
