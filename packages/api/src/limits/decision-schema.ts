import { z } from '@hono/zod-openapi';
import { type Decision, type Policy, type CombinedRequest, type ConsumeOptions, MAX_LIMIT } from '@spillway/limiter';
import { rateLimitHeaders } from '@spillway/limiter/http';
import {
  milliseconds,
  finite,
  type Milliseconds,
  action,
  strictObject,
  listOf,
  trueOrFalse,
  subject,
  boundedText,
  wholeNumber,
  omitUndefined,
} from '../openapi/fields.ts';

/** A decision as it travels among others. The members are those of `Decision`. */
interface DecisionFields {
  readonly allowed: boolean;
  readonly policy: string;
  readonly reason: Decision['reason'];
  readonly source?: 'local' | undefined;
  readonly cause?: string | undefined;
  readonly limit: number;
  readonly remaining: number;
  readonly decidedAtMs: number;
  readonly resetAtMs: Milliseconds;
  readonly resetAfterMs: Milliseconds;
  readonly retryAfterMs: Milliseconds;
  readonly blockedUntilMs?: Milliseconds | undefined;
  readonly nearLimit?: boolean | undefined;
  readonly slot?: string | undefined;
}

/** One decision as it travels. */
interface DecisionJson extends DecisionFields {
  readonly headers: Readonly<Record<string, string>>;
}

/** One of a batch, which has headers if the request asks for them. */
interface BatchDecisionJson extends DecisionFields {
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

const reasons = [
  'allowed',
  'limited',
  'blocked',
  'shadow',
  'withheld',
  'cost_above_limit',
  'unavailable',
  'allow_listed',
  'deny_listed',
] as const satisfies readonly Decision['reason'][];

const fields = z.object({
  allowed: z.boolean(),
  policy: z.string(),
  reason: z.enum(reasons),
  source: z.literal('local').optional().openapi({ description: 'Decided without Redis, by a share of the limit.' }),
  cause: z.string().optional().openapi({ description: 'Why Redis did not decide; absent when it did.' }),
  limit: z.number(),
  remaining: z.number(),
  decidedAtMs: z.number().openapi({ description: "When it was decided, in ms since 1970 by Redis' clock." }),
  resetAtMs: milliseconds.openapi({ description: 'When the whole limit is free again, in ms since 1970.' }),
  resetAfterMs: milliseconds,
  retryAfterMs: milliseconds.openapi({ description: 'After what time the same request would be admitted.' }),
  blockedUntilMs: milliseconds.optional().openapi({ description: 'Absent: no block is active; null: it has no end.' }),
  nearLimit: z.boolean().optional().openapi({ description: 'The subject is near its limit now.' }),
  slot: z.string().optional().openapi({ description: 'What a request of a concurrency policy holds; release it.' }),
});

const headers = z.record(z.string(), z.string()).openapi({
  description: 'Headers for the answer to the subject: RateLimit, RateLimit-Policy, X-RateLimit-… and Retry-After.',
});

/** One decision, for the OpenAPI document. */
export const decisionSchema: z.ZodType<DecisionJson> = fields.extend({ headers }).openapi('Decision');

/** Those of a batch, for the OpenAPI document. */
export const batchSchema: z.ZodType<{ readonly decisions: readonly BatchDecisionJson[] }> = z
  .object({ decisions: z.array(fields.extend({ headers: headers.optional() }).openapi('BatchDecision')) })
  .openapi('Batch');

/** What is sent for several requests that were decided together. */
interface CombinedJson {
  readonly allowed: boolean;
  readonly refusedBy: readonly string[];
  readonly retryAfterMs: Milliseconds;
  readonly decisions: readonly DecisionFields[];
  readonly headers: Readonly<Record<string, string>>;
}

/** {@link CombinedJson} for the OpenAPI document. */
export const combinedSchema: z.ZodType<CombinedJson> = z
  .object({
    allowed: z.boolean(),
    refusedBy: z.array(z.string()).openapi({ description: 'The policies that refused.' }),
    retryAfterMs: milliseconds.openapi({ description: 'After what time all would be admitted.' }),
    decisions: z.array(fields.openapi('CombinedPart')).openapi({ description: 'One per request, in their order.' }),
    headers,
  })
  .openapi('CombinedDecision');

/** Turns one decision into what is sent, with the headers for the subject's answer. */
export function toDecisionJson(decision: Decision, policy: Policy): DecisionJson {
  // About the subject, and so not among the headers of the API's answer: they would slow down the caller, which serves others too.
  return { ...toDecisionFields(decision), headers: rateLimitHeaders(decision, policy) };
}

/**
 * Turns a decision into what is sent: whole numbers, and null where a time never comes. Each member by name: copying the rest of an
 * object takes five times as long, and a batch does it a hundred times. What is absent is not there at all, since
 * `JSON.stringify` looks at each member that is undefined.
 */
export function toDecisionFields(decision: Decision): DecisionFields {
  const sent: { -readonly [Member in keyof DecisionFields]: DecisionFields[Member] } = {
    allowed: decision.allowed,
    policy: decision.policy,
    reason: decision.reason,
    limit: decision.limit,
    remaining: decision.remaining,
    decidedAtMs: decision.decidedAtMs,
    resetAtMs: finite(decision.resetAtMs),
    resetAfterMs: finite(decision.resetAfterMs),
    retryAfterMs: finite(decision.retryAfterMs),
  };
  if (decision.source !== undefined) sent.source = decision.source;
  if (decision.cause !== undefined) sent.cause = decision.cause;
  if (decision.blockedUntilMs !== undefined) sent.blockedUntilMs = finite(decision.blockedUntilMs);
  if (decision.nearLimit !== undefined) sent.nearLimit = decision.nearLimit;
  if (decision.slot !== undefined) sent.slot = decision.slot;
  return sent;
}

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
export const batchRequest: z.ZodType<{
  readonly requests: readonly DecisionRequest[];
  readonly headers?: boolean | undefined;
}> = strictObject({
  requests: listOf(decisionRequest, MOST_REQUESTS, 'requests'),
  headers: trueOrFalse
    .optional()
    .openapi({ description: 'Whether each decision comes with the headers for its subject.', default: false }),
}).openapi('BatchRequest');

/** One of several requests that are decided together. */
interface TogetherRequest extends DecisionRequest {
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
  requests: listOf(togetherRequest, MOST_TOGETHER, 'requests'),
}).openapi('CombinedRequest');

/** A slot that a decision named. */
interface SlotRequest {
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
