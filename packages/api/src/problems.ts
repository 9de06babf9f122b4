import { BreakerInputError, StoreUnavailableError } from '@spillway/breaker';
import { classifyDbError, InvalidCursorError, InvalidOptionError } from '@spillway/db';
import { LimiterClosedError, LimiterInputError, LimiterUnavailableError, LiveConflictError } from '@spillway/limiter';
import { problemResponse } from '@spillway/limiter/http';
import { HTTPException } from 'hono/http-exception';

/** The queue's Redis gives no answer. */
export class QueueUnavailableError extends Error {
  readonly code = 'queue_unavailable';
  override readonly name = 'QueueUnavailableError';

  constructor(cause?: unknown) {
    super('the Redis of the queue gives no answer', { cause });
  }
}

/** What is wrong with one part of a request. Field and detail, read together, make a sentence. */
export interface FieldError {
  /** A member of the body, a header's name, or `body` for all of it. */
  readonly field: string;
  readonly detail: string;
}

/**
 * Every problem that this API answers with: its status and its title. Its type is `urn:spillway:problem:` and its name, the same
 * in every deployment; clients tell problems apart by it. docs/api.md lists them.
 */
export const problems = {
  'invalid-request': [400, 'The request is not valid'],
  'unreadable-request': [400, 'The request can not be read as HTTP'],
  'not-authenticated': [401, 'Not authenticated'],
  'insufficient-scope': [403, 'The key lacks the scope'],
  'cross-site': [403, 'Not allowed from another site'],
  'read-only-queues': [403, 'The queues can only be looked at'],
  'no-such-path': [404, 'Not found'],
  'unknown-policy': [404, 'Unknown policy'],
  'policy-not-live': [404, 'The policy was not set by this API'],
  'unknown-override': [404, 'Unknown override'],
  'unknown-plan': [404, 'Unknown plan'],
  'unknown-preset': [404, 'Unknown preset'],
  'unknown-entry': [404, 'Unknown list entry'],
  'unknown-breaker': [404, 'Unknown breaker'],
  'unknown-gap': [404, 'Unknown gap'],
  'unknown-dead-letter': [404, 'Unknown dead letter'],
  'unknown-run': [404, 'Unknown run'],
  'unknown-key': [404, 'Unknown key'],
  'method-not-allowed': [405, 'Method not allowed'],
  'gap-resolved': [409, 'The gap is resolved already'],
  'replay-in-progress': [409, 'A replay of other dead letters is in progress'],
  'request-in-progress': [409, 'A request with this Idempotency-Key is in progress'],
  'precondition-failed': [412, 'It is not what If-Match or If-None-Match say'],
  'body-too-large': [413, 'The body is too large'],
  'not-json': [415, 'The body is not JSON'],
  'idempotency-key-reused': [422, 'The Idempotency-Key was used for another request'],
  'too-many-idempotency-keys': [429, 'Too many Idempotency-Keys are kept'],
  'too-many-requests': [429, 'Too many requests'],
  'too-many-attempts': [429, 'Too many credentials that are not valid'],
  'too-many-streams': [429, 'Too many streams'],
  'internal-error': [500, 'Internal error'],
  'run-failed': [500, 'The run failed'],
  'not-ready': [503, 'Not ready'],
  stopping: [503, 'The service is stopping'],
  'keys-unavailable': [503, 'Keys can not be checked right now'],
  'redis-unavailable': [503, 'Redis cannot be reached right now'],
  'queue-unavailable': [503, 'The Redis of the queue cannot be reached right now'],
  'postgres-unavailable': [503, 'Postgres cannot be reached right now'],
  'dashboard-not-built': [503, 'The dashboard was not built'],
} as const;

/** The name of a problem, which ends its type. */
type ProblemName = keyof typeof problems;

/** Something that a request may name and that may not exist. */
type Thing = {
  [Name in ProblemName]: Name extends `unknown-${infer Words}` ? Words : never;
}[ProblemName];

/** The type of a problem, a URI. */
export function problemType(name: string): string {
  return `urn:spillway:problem:${name}`;
}

/** A problem document. @param more the members after `type`, `title` and `status`; a `status` replaces the usual one */
export function problem(
  name: ProblemName,
  more: { readonly status?: number; readonly detail?: string; readonly [member: string]: unknown } = {},
  headers: Readonly<Record<string, string>> = {},
): Response {
  const [status, title] = problems[name];
  return problemResponse({ type: problemType(name), title, status, ...more }, headers);
}

/** 400: the request itself is wrong; `errors` says where. */
export function badRequestProblem(errors: readonly FieldError[]): Response {
  return problem('invalid-request', { detail: sentenceOf(errors), errors });
}

function sentenceOf(errors: readonly FieldError[]): string {
  return errors.map((error) => `${error.field} ${error.detail}`).join('; ');
}

/** A problem with one field. */
export function fieldProblem(name: ProblemName, field: string, detail: string, headers = {}): Response {
  const errors = [{ field, detail }];
  return problem(name, { detail: sentenceOf(errors), errors }, headers);
}

/** 404: the path is right and the policy isn't. */
export function unknownPolicyProblem(known: Iterable<string>): Response {
  return fieldProblem('unknown-policy', 'policy', `must be one of ${[...known].join(', ')}`);
}

/** 404: the path is right, and what it names does not exist. */
export function unknownThingProblem(what: Thing): Response {
  return problem(`unknown-${what}`, { detail: `There is no such ${what.replaceAll('-', ' ')}.` });
}

/** 405: the path is served, but not for this method. */
export function methodNotAllowedProblem(methods: readonly string[]): Response {
  const allow = methods.join(', ');
  return problem('method-not-allowed', { detail: `Allowed: ${allow}.` }, { Allow: allow });
}

/** 413: the body is larger than any valid one. */
export function tooLargeProblem(maxBytes: number): Response {
  // The rest of the body is discarded for half a second, then cut; the connection must not be reused.
  return fieldProblem('body-too-large', 'body', `must be at most ${maxBytes} bytes`, { Connection: 'close' });
}

/** 412: what is there now is not what the request's conditions want. */
function preconditionFailed(): Response {
  return problem('precondition-failed', { detail: 'Nothing was changed: get it again, and change that.' });
}

/** Makes a problem document something to throw, where a handler may return nothing but its answer. */
export function problemException(response: Response): HTTPException {
  // Its own status is never looked at: the response has one.
  return new HTTPException(500, { res: response });
}

/** What a thrown error looks like from outside: a 5xx says nothing about the inside. */
export function toProblem(error: unknown): Response {
  if (error instanceof HTTPException && error.res !== undefined) return error.res;
  if (error instanceof HTTPException && error.status < 500) {
    return problem('invalid-request', {
      status: error.status,
      ...(error.message === '' ? {} : { detail: error.message }),
    });
  }
  if (error instanceof LimiterInputError || error instanceof BreakerInputError) {
    return badRequestProblem([{ field: error.field, detail: error.problem }]);
  }
  if (error instanceof InvalidCursorError) {
    return badRequestProblem([{ field: 'after', detail: 'is not a cursor that a page returned' }]);
  }
  if (error instanceof InvalidOptionError) {
    return badRequestProblem([{ field: error.option, detail: 'is out of range' }]);
  }
  if (error instanceof LiveConflictError) return preconditionFailed();
  const away = unavailability(error);
  return away === undefined ? problem('internal-error') : problem(away, {}, { 'Retry-After': '1' });
}

/** What is away, if that is why something failed. */
function unavailability(error: unknown): ProblemName | undefined {
  if (error instanceof LimiterClosedError) return 'stopping';
  if (error instanceof QueueUnavailableError) return 'queue-unavailable';
  if (error instanceof StoreUnavailableError || error instanceof LimiterUnavailableError) return 'redis-unavailable';
  return classifyDbError(error) === 'unavailable' ? 'postgres-unavailable' : undefined;
}
