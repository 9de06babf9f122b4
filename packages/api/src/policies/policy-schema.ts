import { z } from '@hono/zod-openapi';
import { MAX_BLOCK_MS, MAX_LIMIT, MAX_WINDOW_MS, type Lease, type Policy, type PolicyOptions } from '@spillway/limiter';
import { strictObject, mustBe, enumOf, boundedText, wholeNumber, omitUndefined } from '../openapi/fields.ts';
import { reachIgnored } from './reach.ts';

/** A policy's name. */
export const policyName: z.ZodString = z
  .string({ error: mustBe('text') })
  .regex(/^[a-z0-9_-]{1,64}$/u, 'must be 1 to 64 of a-z, 0-9, _ and -')
  .openapi({ example: 'uploads' });

/** A share of the limit. */
const share = z
  .number({ error: mustBe('a number') })
  .refine((value) => value > 0 && value < 1, 'must be above 0 and below 1')
  .openapi({ exclusiveMinimum: 0, exclusiveMaximum: 1 });

const common = {
  limit: wholeNumber(1, MAX_LIMIT),
  blockMs: wholeNumber(0, MAX_BLOCK_MS).optional().openapi({ default: 0 }),
  onUnavailable: enumOf(['open', 'closed', 'local']).optional().openapi({ default: 'open' }),
  mode: enumOf(['enforce', 'shadow']).optional().openapi({ default: 'enforce' }),
  nearLimit: share.optional(),
  lease: strictObject({ size: wholeNumber(1, MAX_LIMIT), ttlMs: wholeNumber(10, MAX_WINDOW_MS) })
    .nullable()
    .optional()
    .openapi({
      description:
        'Units that a process takes in advance; null = none. Absent: as in the policy that this one replaces.',
    }),
  // What GET adds: a policy that was read can be changed and sent back.
  name: policyName.optional().openapi({ description: 'As in the path.' }),
  source: enumOf(['code', 'live']).optional().openapi({ description: 'Ignored: what is set here is `live`.' }),
  // And what the answer of PUT adds.
  ...reachIgnored,
};
const windowMs = wholeNumber(1, MAX_WINDOW_MS);

/** What `definePolicy` takes, and what GET adds to it. */
export type PolicyRules = PolicyOptions extends infer Options
  ? Options extends unknown
    ? Omit<Options, 'name' | 'lease'> & {
        readonly lease?: Lease | null;
        readonly name?: string;
        readonly source?: PolicyView['source'];
        readonly otherLimiters?: unknown;
        readonly warning?: unknown;
      }
    : never
  : never;

/** A policy to set: finer rules are the limiter's to check. */
export const policyRequest: z.ZodType<PolicyRules> = z
  .union([
    strictObject({
      algorithm: enumOf(['auto', 'sliding-log', 'fixed-window', 'concurrency']).optional().openapi({ default: 'auto' }),
      ...common,
      windowMs,
    }),
    strictObject({
      algorithm: enumOf(['sliding-window']),
      ...common,
      windowMs,
      buckets: wholeNumber(2, 120).optional().openapi({ default: 20 }),
    }),
    strictObject({
      algorithm: enumOf(['token-bucket']),
      ...common,
      windowMs,
      burst: wholeNumber(1, MAX_LIMIT).optional().openapi({ description: 'Absent = the limit.' }),
    }),
    strictObject({
      algorithm: enumOf(['quota']),
      ...common,
      period: enumOf(['day', 'month']),
      timeZone: boundedText(64).optional().openapi({ default: 'UTC' }),
    }),
  ])
  .openapi('PolicyRequest')
  .transform(omitUndefined);

/** A policy as it is shown: all that `PUT` takes. */
export type PolicyView = Omit<Policy, 'windowMs'> & {
  /** Absent for quotas, whose period says it. */
  readonly windowMs?: number;
  /** `code`: given in the program. `live`: set here, for the whole fleet. */
  readonly source: 'code' | 'live';
};

/** The policy, as it is shown. */
export function toPolicyView(policy: Policy, source: PolicyView['source']): PolicyView {
  const { windowMs: length, ...rest } = policy;
  return policy.algorithm === 'quota' ? { ...rest, source } : { ...rest, windowMs: length, source };
}

/** {@link PolicyView} for the OpenAPI document. */
export const policyView: z.ZodType<PolicyView> = z
  .custom<PolicyView>((value) => typeof value === 'object' && value !== null)
  .openapi('Policy', {
    type: 'object',
    required: ['name', 'algorithm', 'limit', 'blockMs', 'onUnavailable', 'mode', 'source'],
    properties: {
      name: { type: 'string' },
      algorithm: { type: 'string' },
      limit: { type: 'integer' },
      windowMs: { type: 'integer', description: 'Absent for quotas.' },
      blockMs: { type: 'integer' },
      onUnavailable: { type: 'string', enum: ['open', 'closed', 'local'] },
      mode: { type: 'string', enum: ['enforce', 'shadow'] },
      nearLimit: { type: 'number' },
      lease: {
        type: 'object',
        required: ['size', 'ttlMs'],
        properties: { size: { type: 'integer' }, ttlMs: { type: 'integer' } },
      },
      buckets: { type: 'integer' },
      burst: { type: 'integer' },
      period: { type: 'string', enum: ['day', 'month'] },
      timeZone: { type: 'string' },
      source: { type: 'string', enum: ['code', 'live'], description: '`live`: set here, for the whole fleet.' },
    },
  });
