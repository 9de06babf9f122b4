import { z } from '@hono/zod-openapi';

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

/** A number of ms since 1970 or of waiting; null for "no end", since JSON has no Infinity. */
export const milliseconds: z.ZodType<number | null> = z.number().nullable();

/** The subject that is limited. */
export const subject: z.ZodType<string, string> = boundedText(1024).openapi({ example: 'user-1' });

/** The reason of a manual change, for the trail. */
export const why: z.ZodOptional<z.ZodNullable<z.ZodString>> = boundedText(500)
  .nullable()
  .optional()
  .openapi({ description: 'The reason, for the trail: at most 500 characters.' });

/** What the subject wants to do. */
export const action: z.ZodType<string, string> = boundedText(256).openapi({ example: 'upload' });
