import { z } from '@hono/zod-openapi';
import { boundedText, queryWholeNumber } from '../openapi/fields.ts';

/** The year 9999. */
const LATEST_MS = 253_402_300_799_999;

/** A whole number in a query string, or nothing. */
type OptionalNumber = z.ZodOptional<z.ZodType<number, string>>;

/** What pages every list. */
export const pageQuery: { readonly limit: OptionalNumber; readonly after: z.ZodOptional<z.ZodString> } = {
  limit: queryWholeNumber(1, 1_000).optional().openapi({ default: 50 }),
  after: boundedText(128).optional().openapi({ description: '`next` of the page before.' }),
};

/** The stretch of time of a list. */
export const timeQuery: { readonly sinceMs: OptionalNumber; readonly untilMs: OptionalNumber } = {
  sinceMs: queryWholeNumber(0, LATEST_MS).optional().openapi({ description: 'From this time on, in ms since 1970.' }),
  untilMs: queryWholeNumber(0, LATEST_MS).optional().openapi({ description: 'Before this time.' }),
};

/** The cursor of the following page; null on the last one. */
export const next: z.ZodType<string | null> = z.string().nullable();
