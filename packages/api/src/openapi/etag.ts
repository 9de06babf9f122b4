import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import type { Context, TypedResponse } from 'hono';
import type { JSONParsed } from 'hono/utils/types';
import { fieldProblem, problemException } from '../problems.ts';
import type { ApiEnv } from './api-app.ts';
import { json, type JsonResponse } from './responses.ts';

/*
 * Entity tags (RFC 9110, sections 8.8.3 and 13). A tag is a hash of what GET answers, so that it is the same in every process and
 * after each restart, and what was written by hand has one too. A client that read something sends its tag along with the change
 * (`If-Match`); the change is made only if GET would still answer that. Look and change are one step of the store.
 */

/** The strong entity tag of what GET answers; the order of its members doesn't count. */
export function etagOf(representation: object): string {
  const hash = createHash('sha256')
    .update(JSON.stringify(sorted(representation)))
    .digest('base64url');
  return `"${hash.slice(0, 27)}"`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}

/** {@link etagOf} as a header of an answer. */
export const etagHeader: {
  readonly ETag: { readonly description: string; readonly schema: { readonly type: 'string' } };
} = {
  ETag: { description: 'The tag of what GET answers: for If-Match and If-None-Match.', schema: { type: 'string' } },
};

/** The request headers of a conditional GET. */
export const ifChanged: z.ZodObject = z.object({
  'If-None-Match': z
    .string()
    .optional()
    .openapi({ description: 'The tag of what is known already: 304 if it is the same.' }),
});

/** The request headers of a conditional change. */
export const ifUnchanged: z.ZodObject = z.object({
  'If-Match': z.string().optional().openapi({
    description: 'The tag of what is to be changed, or *: 412 if it is another one now. Absent: no condition.',
  }),
  'If-None-Match': z.string().optional().openapi({ description: '*: 412 if there is one already.' }),
});

/** The answers of a conditional GET, for the OpenAPI description. */
export function taggedJson<Schema extends z.ZodType>(
  schema: Schema,
  description: string,
): { readonly 200: JsonResponse<Schema>; readonly 304: { readonly description: string } } {
  return {
    200: json(schema, description, etagHeader),
    304: { description: 'It is what `If-None-Match` names; no body.' },
  };
}

/** Answers a conditional GET: with its tag, and without a body if the client has it already. */
export function sendTagged<Found extends object>(
  context: Context<ApiEnv>,
  found: Found,
): Response & (TypedResponse<JSONParsed<Found>, 200, 'json'> | TypedResponse<null, 304, 'body'>) {
  const tag = etagOf(found);
  context.header('ETag', tag);
  // May be kept by the client alone, and is asked about each time.
  context.header('Cache-Control', 'private, no-cache');
  const known = tagsOf(context, 'If-None-Match');
  const isKnown = known === '*' || known?.some((one) => one.replace(/^W\//u, '') === tag);
  return isKnown === true ? context.body(null, 304) : context.json(found, 200);
}

/**
 * Whether a change may be made to what GET would answer now; absent when the client set no condition.
 * @param shown what GET answers of a stored entry, or of none; undefined: 404
 * @throws {HTTPException} that becomes a 400 for a header that can't be read
 */
export function conditionOf<Stored>(
  context: Context<ApiEnv>,
  shown: (stored: Stored | undefined) => object | undefined,
): { readonly onlyIf?: (stored: Stored | undefined) => boolean } {
  const [wanted, unwanted] = [tagsOf(context, 'If-Match'), tagsOf(context, 'If-None-Match')];
  if (wanted === undefined && unwanted === undefined) return {};
  return {
    onlyIf: (stored) => {
      const now = shown(stored);
      const tag = now && etagOf(now);
      return (wanted === undefined || matches(wanted, tag)) && (unwanted === undefined || !matches(unwanted, tag));
    },
  };
}

/** Strong comparison: a weak tag is never the same. */
function matches(tags: '*' | readonly string[], tag: string | undefined): boolean {
  return tag !== undefined && (tags === '*' || tags.includes(tag));
}

const LIST = /^\s*(?:(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"\s*(?:,\s*|$))+$/u;
const EACH = /(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/gu;

function tagsOf(context: Context<ApiEnv>, name: 'If-Match' | 'If-None-Match'): '*' | readonly string[] | undefined {
  const header = context.req.header(name);
  if (header === undefined) return undefined;
  if (header.trim() === '*') return '*';
  if (LIST.test(header)) return header.match(EACH) ?? [];
  throw problemException(fieldProblem('invalid-request', name, 'must be * or a list of entity tags in quotes'));
}
