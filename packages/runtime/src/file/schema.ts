import { MAX_BLOCK_MS, MAX_LIMIT, MAX_WINDOW_MS, policyAlgorithms } from '@spillway/limiter';
import { z } from 'zod';

const DAY_MS = 86_400_000;

const text = (max: number): z.ZodString => {
  const error = `must be text of 1 to ${max} characters (in quotes where YAML would read a number, a date, yes or no)`;
  return z.string({ error }).min(1, { error }).max(max, { error });
};

const whole = (min: number, max: number): z.ZodInt => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
};

const share = (): z.ZodNumber => {
  const error = 'must be a number above 0 and at most 1';
  return z.number({ error }).gt(0, { error }).max(1, { error });
};

const oneOf = <const Values extends readonly [string, ...string[]]>(
  values: Values,
): z.ZodEnum<z.core.util.ToEnum<Values[number]>> => z.enum(values, { error: `must be one of ${values.join(', ')}` });

const name = z
  .string({ error: 'must be text' })
  .regex(/^[a-z0-9_-]{1,64}$/u, 'must be named by 1 to 64 of a-z, 0-9, _ and -');

/** An object that has these members and no other. */
function strictObject<Shape extends z.core.$ZodLooseShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape, {
    error: ({ code }) => (code === 'invalid_type' ? 'must be a mapping (`name: value`)' : undefined),
  });
}

const named = <Value extends z.ZodType>(value: Value): z.ZodOptional<z.ZodRecord<typeof name, Value>> =>
  z
    .record(name, value, {
      error: ({ code }) => (code === 'invalid_type' ? 'must be a mapping of names to settings' : undefined),
    })
    .optional();

const list = <Value extends z.ZodType>(value: Value): z.ZodArray<Value> => z.array(value, { error: 'must be a list' });

const mode = oneOf(['enforce', 'shadow']).describe(
  'shadow: decides and records, but refuses no request. Default: enforce',
);
const limit = whole(1, MAX_LIMIT).describe('Units in a window');
const windowMs = whole(1, MAX_WINDOW_MS).describe('In ms. Left out for a quota');
const blockMs = whole(0, MAX_BLOCK_MS).describe('How long a subject is refused after the limit, in ms. Default: 0');

const policy = strictObject({
  algorithm: oneOf(policyAlgorithms).optional(),
  limit,
  windowMs: windowMs.optional(),
  blockMs: blockMs.optional(),
  onUnavailable: oneOf(['open', 'closed', 'local']).describe('While Redis is away. Default: open').optional(),
  mode: mode.optional(),
  nearLimit: share().describe('Marks decisions from this share of the limit on').optional(),
  lease: strictObject({ size: whole(1, MAX_LIMIT), ttlMs: whole(10, MAX_WINDOW_MS) }).optional(),
  buckets: whole(2, 120).describe('sliding-window').optional(),
  burst: whole(1, MAX_LIMIT).describe('token-bucket. Default: the limit').optional(),
  period: oneOf(['day', 'month']).describe('quota').optional(),
  timeZone: text(64).describe('quota. Default: UTC').optional(),
}).describe('What definePolicy takes');

const override = strictObject({
  policy: name,
  subject: text(1024).describe('A subject, or a pattern such as org-7:*'),
  limit: limit.optional(),
  windowMs: windowMs.optional(),
  blockMs: blockMs.optional(),
  mode: mode.optional(),
}).describe('Other options for a subject; an option that is left out is the policy’s');

const rateWindow = z
  .discriminatedUnion(
    'kind',
    [
      strictObject({ kind: z.literal('count'), calls: whole(1, 10_000) }),
      strictObject({ kind: z.literal('time'), windowMs: whole(1, DAY_MS) }),
    ],
    { error: 'must have kind: count with calls, or kind: time with windowMs' },
  )
  .describe('What the failure rate is measured over');

const trip = z.discriminatedUnion(
  'strategy',
  [
    strictObject({
      strategy: z.literal('consecutive'),
      failures: whole(1, 10_000),
      forgetAfterMs: whole(1, DAY_MS).optional(),
    }),
    strictObject({
      strategy: z.literal('rate'),
      window: rateWindow,
      minimumCalls: whole(1, 1_000_000),
      failureRate: share(),
    }),
  ],
  {
    error: 'must have strategy: consecutive with failures, or strategy: rate with window, minimumCalls and failureRate',
  },
);

const preset = strictObject({
  trip: trip.describe('What opens the breaker'),
  slowCalls: strictObject({ durationMs: whole(1, DAY_MS), rate: share() }).optional(),
  openMs: whole(1, DAY_MS).describe('How long the first opening lasts, in ms'),
  maxOpenMs: whole(1, DAY_MS).optional(),
  openBackoff: z.number({ error: 'must be a number' }).min(1).max(10).optional(),
  probes: whole(1, 1_000).optional(),
  probeMarginMs: whole(0, DAY_MS).optional(),
  timeoutMs: z
    .union([whole(1, DAY_MS), z.literal(false)], { error: `must be a whole number from 1 to ${DAY_MS}, or false` })
    .describe('A call that takes longer is a failure, in ms; false: it may take any time')
    .optional(),
  quorum: z.number({ error: 'must be a number' }).gt(0).max(10_000).optional(),
  ramp: strictObject({ durationMs: whole(1, DAY_MS), startShare: share() }).optional(),
  record: list(oneOf(['transitions', 'failures', 'successes'])).optional(),
  mode: oneOf(['enforce', 'metrics-only']).optional(),
  version: whole(1, 2 ** 31 - 1)
    .describe('Raise it with each change')
    .optional(),
}).describe('What definePreset takes');

/** A breaker preset without its name, as JSON; finer rules are those of `definePreset`. */
export const presetSchema: z.ZodObject = preset;

const planPolicies = z
  .union([name, list(name).min(1, 'must name a policy').max(16, 'must be at most 16 policies')], {
    error: 'must be the name of a policy, or a list of them',
  })
  .describe('The policies of subjects with the plan');

/** A file as it is written. */
export interface FileShape {
  readonly policies?: Readonly<Record<string, object>> | undefined;
  readonly overrides?: readonly (object & Readonly<Record<'policy' | 'subject', string>>)[] | undefined;
  readonly lists?: { readonly [Kind in 'allow' | 'deny']?: readonly string[] | undefined } | undefined;
  readonly plans?: Readonly<Record<string, string | readonly string[]>> | undefined;
  readonly breakers?: Readonly<Record<string, object>> | undefined;
}

/** The shape of `spillway.yaml`; finer rules are those of `definePolicy`, `definePreset` and the live policies. */
export const fileSchema: z.ZodType<FileShape> = strictObject({
  policies: named(policy).describe('Policies (tiers) by name'),
  overrides: list(override).optional(),
  lists: strictObject({
    allow: list(text(1024)).describe('Always admitted: subjects, patterns, addresses, networks').optional(),
    deny: list(text(1024)).describe('Always refused').optional(),
  }).optional(),
  plans: named(planPolicies).describe('Plans by name'),
  breakers: named(preset).describe('Breaker presets by name'),
});

/** The JSON schema of `spillway.yaml`, for editors. */
export function fileJsonSchema(): object {
  const { $schema, ...schema } = z.toJSONSchema(fileSchema, { io: 'input', target: 'draft-7' });
  return {
    $schema,
    title: 'spillway.yaml',
    description: 'Policies, overrides, lists, plans and breaker presets',
    ...schema,
  };
}
