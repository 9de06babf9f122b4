import { z } from '@hono/zod-openapi';
import type { Decision, Policy } from '@spillway/limiter';
import { rateLimitHeaders } from '@spillway/limiter/http';
import { milliseconds } from '../openapi/fields.ts';

/** A number of ms, or null for "no end": JSON has no Infinity. */
type Milliseconds = number | null;

/** A decision as it travels. The members are those of `Decision`. */
export interface DecisionJson {
  readonly allowed: boolean;
  readonly policy: string;
  readonly reason: Decision['reason'];
  readonly source?: 'local' | undefined;
  readonly cause?: string | undefined;
  readonly limit: number;
  readonly remaining: number;
  readonly resetAtMs: Milliseconds;
  readonly resetAfterMs: Milliseconds;
  readonly retryAfterMs: Milliseconds;
  readonly blockedUntilMs?: Milliseconds | undefined;
  readonly nearLimit?: boolean | undefined;
  readonly slot?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
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

/** {@link DecisionJson} for the OpenAPI document. */
export const decisionSchema: z.ZodType<DecisionJson> = z
  .object({
    allowed: z.boolean(),
    policy: z.string(),
    reason: z.enum(reasons),
    source: z.literal('local').optional().openapi({ description: 'Decided without Redis, by a share of the limit.' }),
    cause: z.string().optional().openapi({ description: 'Why Redis did not decide; absent when it did.' }),
    limit: z.number(),
    remaining: z.number(),
    resetAtMs: milliseconds.openapi({ description: 'When the whole limit is free again, in ms since 1970.' }),
    resetAfterMs: milliseconds,
    retryAfterMs: milliseconds.openapi({ description: 'After how long this very request would be admitted.' }),
    blockedUntilMs: milliseconds
      .optional()
      .openapi({ description: 'Absent: no block is active; null: it has no end.' }),
    nearLimit: z.boolean().optional().openapi({ description: 'The subject is near its limit now.' }),
    slot: z.string().optional().openapi({ description: 'What a request of a concurrency policy holds; release it.' }),
    headers: z.record(z.string(), z.string()).openapi({
      description: 'Headers for the answer to the subject: RateLimit, RateLimit-Policy, X-RateLimit-… and Retry-After.',
    }),
  })
  .openapi('Decision');

/** What is sent for several requests that were decided together. */
export interface CombinedJson {
  readonly allowed: boolean;
  readonly refusedBy: readonly string[];
  readonly retryAfterMs: Milliseconds;
  readonly decisions: readonly DecisionJson[];
  readonly headers: Readonly<Record<string, string>>;
}

/** {@link CombinedJson} for the OpenAPI document. */
export const combinedSchema: z.ZodType<CombinedJson> = z
  .object({
    allowed: z.boolean(),
    refusedBy: z.array(z.string()).openapi({ description: 'The policies that refused.' }),
    retryAfterMs: milliseconds.openapi({ description: 'After how long all would be admitted.' }),
    decisions: z.array(decisionSchema).openapi({ description: 'One per request, in their order.' }),
    headers: z.record(z.string(), z.string()).openapi({ description: 'Headers for the answer to the subject.' }),
  })
  .openapi('CombinedDecision');

/** Turns a decision into what is sent: whole numbers, and null where a time never comes. */
export function toDecisionJson(decision: Decision, policy: Policy): DecisionJson {
  const { resetAtMs, resetAfterMs, retryAfterMs, blockedUntilMs, ...rest } = decision;
  return {
    ...rest,
    resetAtMs: finite(resetAtMs),
    resetAfterMs: finite(resetAfterMs),
    retryAfterMs: finite(retryAfterMs),
    ...(blockedUntilMs === undefined ? {} : { blockedUntilMs: finite(blockedUntilMs) }),
    // About the subject, and so not in the headers of this answer: they would slow down the caller, which serves others too.
    headers: rateLimitHeaders(decision, policy),
  };
}

/** A time or a wait in whole ms, not earlier than it was; null where it never comes: JSON has no Infinity. */
export function finite(ms: number): Milliseconds {
  return Number.isFinite(ms) ? Math.ceil(ms) : null;
}
