import { type ConsumeOptions, type Decision, type Limiter, LimiterInputError } from '@spillway/limiter';
import { denialProblem, problemResponse, rateLimitHeaders } from '@spillway/limiter/http';
import type { Handler } from 'hono';
import { badRequestProblem, unknownPolicyProblem } from '../problems.ts';
import { readJson } from '../read-json.ts';
import { parseConsumeBody } from './consume-body.ts';
import { toDecisionJson } from './decision-json.ts';

/**
 * `POST /v1/limits/:policy/consume` with `{ subject, action?, cost? }`: decides for a caller in another language. The
 * answer is 200 with the decision whichever way it fell, since a denial is a value here; it is for the caller to refuse
 * its own client. 503 when Redis gave no decision and the policy refuses then.
 */
export function consumeHandler(limiter: Limiter): Handler<object, '/v1/limits/:policy/consume'> {
  return async (context) => {
    const name = context.req.param('policy');
    const policy = limiter.policies.get(name);
    if (policy === undefined) return unknownPolicyProblem(limiter.policies.keys());

    const json = await readJson(context.req.raw);
    if (json.kind === 'invalid') return json.response;
    const body = parseConsumeBody(json.value);
    if (body.kind === 'invalid') return badRequestProblem(body.errors);

    const { subject, ...options } = body.value;
    const decision = await decide(limiter, name, subject, options);
    if (decision instanceof LimiterInputError) {
      return badRequestProblem([{ field: decision.field, detail: decision.problem }]);
    }
    const headers = rateLimitHeaders(decision, policy);
    if (decision.reason === 'unavailable' && !decision.allowed)
      return problemResponse(denialProblem(decision), headers);
    return context.json(toDecisionJson(decision), 200, headers);
  };
}

async function decide(
  limiter: Limiter,
  ...request: [policy: string, subject: string, options: ConsumeOptions]
): Promise<Decision | LimiterInputError> {
  try {
    return await limiter.consume(...request);
  } catch (error) {
    if (error instanceof LimiterInputError) return error;
    throw error;
  }
}
