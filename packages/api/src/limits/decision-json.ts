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
  readonly limit: number;
  readonly remaining: number;
  readonly resetAt: Milliseconds;
  readonly resetAfterMs: Milliseconds;
  readonly retryAfterMs: Milliseconds;
  readonly blockedUntil?: Milliseconds | undefined;
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
    limit: z.number(),
    remaining: z.number(),
    resetAt: milliseconds.openapi({ description: 'When the whole limit is free again, in ms since 1970.' }),
    resetAfterMs: milliseconds,
    retryAfterMs: milliseconds.openapi({ description: 'After how long this very request would be admitted.' }),
    blockedUntil: milliseconds.optional().openapi({ description: 'Absent when no block runs; null = for ever.' }),
    nearLimit: z.boolean().optional().openapi({ description: 'The subject is near its limit now.' }),
    slot: z.string().optional().openapi({ description: 'What a request of a concurrency policy holds; release it.' }),
    headers: z.record(z.string(), z.string()).openapi({
      description: 'Headers for the answer to the subject: RateLimit, RateLimit-Policy, X-RateLimit-… and Retry-After.',
    }),
  })
  .openapi('Decision');

/** Turns a decision into what is sent: null where a time never comes. */
export function toDecisionJson(decision: Decision, policy: Policy): DecisionJson {
  const { blockedUntil } = decision;
  return {
    ...decision,
    // About the subject, and so not in the headers of this answer: they would slow down the caller, which serves others too.
    headers: rateLimitHeaders(decision, policy),
    resetAt: finite(decision.resetAt),
    resetAfterMs: finite(decision.resetAfterMs),
    retryAfterMs: finite(decision.retryAfterMs),
    ...(blockedUntil === undefined ? {} : { blockedUntil: finite(blockedUntil) }),
  };
}

/** Null where a number never comes. */
export function finite(ms: number): Milliseconds {
  return Number.isFinite(ms) ? ms : null;
}
