import type { z } from '@hono/zod-openapi';
import type { FieldError } from '../problems.ts';

/** A name that a client made up is quoted, but not at any length. */
const MAX_QUOTED = 64;

/** One body can be wrong in thousands of places; a few are enough to see what is wrong. */
const MOST_ERRORS = 10;

/**
 * What a schema had to say, as fields and details that make sentences.
 * @param target which part of the request it was about, for an issue that names no field of it
 */
export function toFieldErrors(issues: readonly z.core.$ZodIssue[], target: string): readonly FieldError[] {
  const whole = target === 'json' ? 'body' : target;
  return issues.flatMap((issue) => oneIssue(issue, whole)).slice(0, MOST_ERRORS);
}

function oneIssue(issue: z.core.$ZodIssue, whole: string): readonly FieldError[] {
  const path = issue.path.map(String);
  // A type that none of the forms has is told as it is.
  if (issue.code === 'invalid_union' && issue.errors.length > 0)
    return nearest(issue.errors).flatMap((one) => oneIssue(one, whole));
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .slice(0, MOST_ERRORS)
      .map((key) => ({ field: shortened([...path, key].join('.')), detail: 'is not known here' }));
  }
  return [{ field: path.length === 0 ? whole : shortened(path.join('.')), detail: detailOf(issue) }];
}

/** Of the forms that a body may have, the one that was meant: it knows the most of its members, and fits best. */
function nearest(forms: readonly z.core.$ZodIssue[][]): readonly z.core.$ZodIssue[] {
  return forms.toSorted((a, b) => unknownIn(a) - unknownIn(b) || a.length - b.length)[0] ?? [];
}

function unknownIn(form: readonly z.core.$ZodIssue[]): number {
  return form.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 0), 0);
}

/** Our schemas say it themselves; zod's own words begin with a capital and end without a sense of where they stand. */
function detailOf(issue: z.core.$ZodIssue): string {
  return /^(?:must|is|has) /u.test(issue.message) ? issue.message : `is not valid: ${issue.message}`;
}

function shortened(name: string): string {
  return name.slice(0, MAX_QUOTED).toWellFormed();
}
