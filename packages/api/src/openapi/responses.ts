import { z } from '@hono/zod-openapi';
import { problemType, problems } from '../problems.ts';

const types = Object.keys(problems).map(problemType);

/** A problem document (RFC 9457), as the OpenAPI document describes it. */
const problem = z
  .looseObject({
    type: z.enum(types).openapi({ description: 'What is wrong: docs/api.md says what each means.' }),
    title: z.string(),
    status: z.number().int(),
    detail: z.string().optional(),
    errors: z.array(z.object({ field: z.string(), detail: z.string() })).optional(),
  })
  .openapi('Problem');

/** A status that a route may refuse with. */
type Refusal = 400 | 401 | 403 | 404 | 409 | 412 | 413 | 415 | 422 | 429 | 500 | 503;

/** What each of them says. */
export const refusals: Readonly<Record<Refusal, string>> = {
  400: 'The request is not valid; `errors` says where.',
  401: 'No key, or one that is not valid.',
  403: 'The key lacks the scope.',
  404: 'There is no such thing.',
  409: 'It was done before, or is in progress.',
  412: 'The stored entry does not meet `If-Match` or `If-None-Match`.',
  413: 'The body is too large.',
  415: 'The body is not JSON.',
  422: 'The Idempotency-Key was used for another request.',
  429: 'Too many requests; `Retry-After` says when to ask again.',
  500: 'It was tried, and failed.',
  503: 'A service that this route needs is unavailable.',
};

/** How a route describes one of its refusals. */
interface RefusalResponse {
  readonly description: string;
  readonly content: { readonly 'application/problem+json': { readonly schema: z.ZodType } };
}

/** The refusals that are a route's own, for its OpenAPI description: those that many have are added to the document. */
export function problemResponses<const Status extends Refusal>(
  ...statuses: readonly Status[]
): Record<Status, RefusalResponse>;
export function problemResponses(...statuses: readonly Refusal[]): object {
  const content = { 'application/problem+json': { schema: problem } };
  return Object.fromEntries(statuses.map((status) => [status, { description: refusals[status], content }]));
}

/** Headers of an answer, as the OpenAPI document describes them. */
type Headers = Record<string, { readonly description: string; readonly schema: { readonly type: 'string' } }>;

/** A JSON answer. */
export interface JsonResponse<Schema extends z.ZodType> {
  readonly description: string;
  readonly headers?: Headers;
  readonly content: { readonly 'application/json': { readonly schema: Schema } };
}

/** Describes a JSON answer. */
export function json<Schema extends z.ZodType>(
  schema: Schema,
  description: string,
  headers: Headers = {},
): JsonResponse<Schema> {
  return { description, headers, content: { 'application/json': { schema } } };
}

/** A JSON body. */
interface JsonRequest<Schema extends z.ZodType> {
  readonly required: true;
  readonly content: { readonly 'application/json': { readonly schema: Schema } };
}

/** Describes a JSON body. */
export function jsonBody<Schema extends z.ZodType>(schema: Schema): JsonRequest<Schema> {
  return { required: true, content: { 'application/json': { schema } } };
}
