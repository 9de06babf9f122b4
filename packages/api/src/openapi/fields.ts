import { z } from '@hono/zod-openapi';
import type { FieldError } from '../problems.ts';

/** Says what a value must be, or that there is none. */
export function mustBe(what: string): (issue: { readonly input?: unknown }) => string {
  return ({ input }) => (input === undefined ? 'is missing' : `must be ${what}`);
}

/** Text that Redis keys and Postgres columns can hold: well-formed, without U+0000, of 1 to so many bytes. */
export function boundedText(maxBytes: number): z.ZodString {
  return z
    .string({ error: mustBe('text') })
    .superRefine((value, context) => {
      const problem = textProblem(value, maxBytes);
      if (problem !== undefined) context.addIssue(problem);
    })
    .openapi({ minLength: 1, maxLength: maxBytes });
}

function textProblem(value: string, maxBytes: number): string | undefined {
  if (value === '') return 'must not be empty';
  if (Buffer.byteLength(value) > maxBytes) return `must be at most ${maxBytes} bytes`;
  if (!value.isWellFormed()) return 'must be well-formed Unicode, without lone surrogates';
  return value.includes('\0') ? 'must not hold U+0000' : undefined;
}

/** A whole number from `minimum` to `maximum`, both included. */
export function wholeNumber(minimum: number, maximum: number): z.ZodNumber {
  const what = `a whole number from ${minimum} to ${maximum}`;
  const fits = (value: number): boolean => Number.isInteger(value) && value >= minimum && value <= maximum;
  return z
    .number({ error: mustBe(what) })
    .refine(fits, `must be ${what}`)
    .openapi({ type: 'integer', minimum, maximum });
}

/** The same, in a query string. */
export function queryWholeNumber(minimum: number, maximum: number): z.ZodType<number, string> {
  const message = `must be a whole number from ${minimum} to ${maximum}`;
  return z
    .string({ error: message })
    .regex(/^\d{1,15}$/u, message)
    .transform(Number)
    .refine((value) => value >= minimum && value <= maximum, message)
    .openapi({ type: 'integer', minimum, maximum });
}

/** `true` or `false` in a query string. */
export function queryBoolean(): z.ZodType<boolean, string> {
  return z
    .enum(['true', 'false'], { error: 'must be true or false' })
    .transform((value) => value === 'true')
    .openapi({ type: 'boolean' });
}

/** A UUID in lower case. */
export function uuid(): z.ZodType<string, string> {
  return z
    .string({ error: mustBe('a UUID') })
    .regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u, 'must be a UUID')
    .openapi({ format: 'uuid' });
}

/** `true` or `false`, in a body. */
export const trueOrFalse: z.ZodBoolean = z.boolean({ error: mustBe('true or false') });

/** A list of one to so many. @param noun what it holds, in the plural */
export function listOf<Item>(item: z.ZodType<Item>, most: number, noun: string): z.ZodType<readonly Item[]> {
  return z
    .array(item, { error: mustBe('a list') })
    .min(1, `must hold 1 to ${most} ${noun}`)
    .max(most, `must hold 1 to ${most} ${noun}`);
}

/** One of these words. */
export function enumOf<const Words extends readonly [string, ...string[]]>(
  words: Words,
): z.ZodType<Words[number], string> {
  return z.enum(words, { error: mustBe(`one of ${words.join(', ')}`) });
}

/** An object whose members are all known: a misspelt one that was ignored would be taken for its default. */
export function strictObject<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'invalid_type' ? 'must be a JSON object' : undefined),
  });
}

/** For routes without parameters: one that is ignored would be taken for one that is heeded. */
export const noQuery: z.ZodObject = strictObject({});

/** A number of ms, or null for "no end": JSON has no Infinity. */
export type Milliseconds = number | null;

/** A number of ms since 1970 or of waiting; null for "no end", since JSON has no Infinity. */
export const milliseconds: z.ZodType<Milliseconds> = z.number().nullable();

/** The subject that is limited. */
export const subject: z.ZodType<string, string> = boundedText(1024).openapi({ example: 'user-1' });

/** The reason of a manual change, for the trail. */
export const why: z.ZodOptional<z.ZodNullable<z.ZodString>> = boundedText(500)
  .nullable()
  .optional()
  .openapi({ description: 'The reason, for the trail: at most 500 characters.' });

/** What the subject wants to do. */
export const action: z.ZodType<string, string> = boundedText(256).openapi({ example: 'upload' });

/** An object without the members that are undefined. */
export type OmitUndefined<Members> = Members extends unknown ? Present<Members> & Perhaps<Members> : never;

type Present<Members> = {
  readonly [Name in keyof Members as undefined extends Members[Name] ? never : Name]: Members[Name];
};
type Perhaps<Members> = {
  readonly [Name in keyof Members as undefined extends Members[Name] ? Name : never]?: Exclude<
    Members[Name],
    undefined
  >;
};

/** Leaves out what was left out: an optional query parameter is `undefined` to a schema, and absent to a function. */
export function omitUndefined<const Members extends object>(members: Members): OmitUndefined<Members>;
export function omitUndefined(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

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
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const form = nearest(issue.errors);
    const ofForm = !isOurs(issue.message) || form.some((one) => one.path.length > 0);
    if (ofForm) return form.flatMap((one) => oneIssue({ ...one, path: [...issue.path, ...one.path] }, whole));
  }
  if (issue.code === 'unrecognized_keys') {
    return issue.keys
      .slice(0, MOST_ERRORS)
      .map((key) => ({ field: quoted([...path, key].join('.')), detail: 'is not known here' }));
  }
  return [{ field: path.length === 0 ? whole : quoted(path.join('.')), detail: detailOf(issue) }];
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
  return isOurs(issue.message) ? issue.message : `is not valid: ${issue.message}`;
}

function isOurs(message: string): boolean {
  return /^(?:must|is|has) /u.test(message);
}

/** The name of a member or a parameter that a client made up, short enough for an answer. */
export function quoted(name: string): string {
  return name.slice(0, MAX_QUOTED).toWellFormed();
}

/** A time or a wait in whole ms, not earlier than it was; null where it never comes: JSON has no Infinity. */
export function finite(ms: number): Milliseconds {
  return Number.isFinite(ms) ? Math.ceil(ms) : null;
}
