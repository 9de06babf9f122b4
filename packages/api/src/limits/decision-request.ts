import { z } from '@hono/zod-openapi';
import { type ConsumeOptions, MAX_LIMIT } from '@spillway/limiter';
import { given } from '../given.ts';
import { action, members, mustBe, subject, wholeNumber } from '../openapi/fields.ts';

/** Most requests in one batch. */
const MOST_REQUESTS = 100;

/** What to decide. The highest cost depends on the policy, so the limiter checks it. */
export const decisionRequest: z.ZodType<DecisionRequest> = members({
  subject,
  action: action.optional(),
  cost: wholeNumber(1, MAX_LIMIT).optional().openapi({ description: 'Units; at most the limit.', default: 1 }),
}).openapi('DecisionRequest');

/** One request for a decision, as it travels. */
export interface DecisionRequest {
  readonly subject: string;
  readonly action?: string | undefined;
  readonly cost?: number | undefined;
}

/** Several requests under one policy, each decided on its own. */
export const batchRequest: z.ZodType<{ readonly requests: DecisionRequest[] }> = members({
  requests: z
    .array(decisionRequest, { error: mustBe('a list') })
    .min(1, 'must hold at least one request')
    .max(MOST_REQUESTS, `must hold at most ${MOST_REQUESTS} requests`),
}).openapi('BatchRequest');

/** A request, as the limiter takes it. */
export function limiterRequest({ subject: who, action: what, cost }: DecisionRequest): [string, ConsumeOptions] {
  return [who, given({ action: what, cost })];
}
