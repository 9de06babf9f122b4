import { z } from '@hono/zod-openapi';
import { type CombinedRequest, type ConsumeOptions, MAX_LIMIT } from '@spillway/limiter';
import { omitUndefined } from '../omit-undefined.ts';
import { action, strictObject, mustBe, subject, boundedText, wholeNumber } from '../openapi/fields.ts';

/** Most requests in one batch. */
const MOST_REQUESTS = 100;

/** Most requests that are decided together: what `consumeAll` takes. */
const MOST_TOGETHER = 64;

const cost = wholeNumber(1, MAX_LIMIT).optional().openapi({ description: 'Units; at most the limit.', default: 1 });

/** One request for a decision, as it travels. */
export interface DecisionRequest {
  readonly subject: string;
  readonly action?: string | undefined;
  readonly cost?: number | undefined;
}

/** What to decide. The highest cost depends on the policy, so the limiter checks it. */
export const decisionRequest: z.ZodType<DecisionRequest> = strictObject({
  subject,
  action: action.optional(),
  cost,
}).openapi('DecisionRequest');

/** Several requests under one policy, each decided on its own. */
export const batchRequest: z.ZodType<{ readonly requests: readonly DecisionRequest[] }> = strictObject({
  requests: listOf(decisionRequest, MOST_REQUESTS),
}).openapi('BatchRequest');

/** One of several requests that are decided together. */
export interface TogetherRequest extends DecisionRequest {
  readonly policy: string;
}

const togetherRequest: z.ZodType<TogetherRequest> = strictObject({
  policy: boundedText(64).openapi({ example: 'standard' }),
  subject,
  action: action.optional(),
  cost,
}).openapi('CombinedDecisionRequest');

/** Several requests of which all are charged or none. */
export const combinedRequest: z.ZodType<{ readonly requests: readonly TogetherRequest[] }> = strictObject({
  requests: listOf(togetherRequest, MOST_TOGETHER),
}).openapi('CombinedRequest');

/** A slot that a decision named. */
export interface SlotRequest {
  readonly subject: string;
  readonly action?: string | undefined;
  readonly slot: string;
}

/** What gives a slot back, or keeps it. */
export const slotRequest: z.ZodType<SlotRequest> = strictObject({
  subject,
  action: action.optional(),
  slot: boundedText(64).openapi({ description: 'From the decision.' }),
}).openapi('SlotRequest');

/** A request, as the limiter takes it. */
export function limiterRequest({
  subject: who,
  action: what,
  cost: units,
}: DecisionRequest): [string, ConsumeOptions?] {
  return what === undefined && units === undefined ? [who] : [who, omitUndefined({ action: what, cost: units })];
}

/** One of several, as `consumeAll` takes it. */
export function combinedOf({ policy, subject: who, ...options }: TogetherRequest): CombinedRequest {
  return { policy, subject: who, ...omitUndefined(options) };
}

function listOf<Request>(request: z.ZodType<Request>, most: number): z.ZodType<readonly Request[]> {
  return z
    .array(request, { error: mustBe('a list') })
    .min(1, 'must hold at least one request')
    .max(most, `must hold at most ${most} requests`);
}
