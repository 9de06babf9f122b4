import { z } from 'zod';
import type { FieldError } from '../problems.ts';

/** What a caller asks to be decided. Lengths and ranges are the limiter's to check: they depend on the policy. */
export interface ConsumeBody {
  readonly subject: string;
  readonly action?: string;
  readonly cost?: number;
}

/** Either the body, or everything that is wrong with it. */
export type ParsedConsumeBody =
  | { readonly kind: 'valid'; readonly value: ConsumeBody }
  | { readonly kind: 'invalid'; readonly errors: readonly FieldError[] };

/** A name that a client made up is quoted, but not at any length. */
const MAX_QUOTED = 64;

// Strict: a misspelt `cost` that was ignored would be charged as 1.
const schema = z.strictObject(
  {
    subject: z.string({ error: mustBe('text') }),
    action: z.string({ error: mustBe('text') }).optional(),
    cost: z.number({ error: mustBe('a number') }).optional(),
  },
  { error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object' : undefined) },
);

/** Checks the shape of a body. */
export function parseConsumeBody(value: unknown): ParsedConsumeBody {
  const result = schema.safeParse(value);
  if (!result.success) return { kind: 'invalid', errors: result.error.issues.flatMap(toFieldErrors) };
  const { subject, action, cost } = result.data;
  return {
    kind: 'valid',
    value: { subject, ...(action === undefined ? {} : { action }), ...(cost === undefined ? {} : { cost }) },
  };
}

function toFieldErrors(issue: z.core.$ZodIssue): readonly FieldError[] {
  if (issue.code === 'unrecognized_keys') {
    const detail = 'is not known here: the body has subject, action and cost';
    // One body can hold thousands of them; a few are enough to see what is wrong.
    return issue.keys.slice(0, 5).map((key) => ({ field: key.slice(0, MAX_QUOTED), detail }));
  }
  return [{ field: issue.path.length === 0 ? 'body' : issue.path.join('.'), detail: issue.message }];
}

function mustBe(what: string): (issue: { readonly input?: unknown }) => string {
  return ({ input }) => (input === undefined ? 'is missing' : `must be ${what}`);
}
