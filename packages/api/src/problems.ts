import { BreakerInputError, StoreUnavailableError } from '@spillway/breaker';
import { classifyDbError, InvalidCursorError, InvalidOptionError } from '@spillway/db';
import { LimiterClosedError, LimiterInputError, LimiterUnavailableError } from '@spillway/limiter';
import { problemResponse } from '@spillway/limiter/http';
import { HTTPException } from 'hono/http-exception';
import { QueueUnavailableError } from './queues/worker-queues.ts';

/** What is wrong with one part of a request. Field and detail, read together, make a sentence. */
export interface FieldError {
  /** A member of the body, a header's name, or `body` for all of it. */
  readonly field: string;
  readonly detail: string;
}

/** 400: the request itself is wrong; `errors` says where. */
export function badRequestProblem(errors: readonly FieldError[], status: 400 | 415 = 400): Response {
  const detail = errors.map((error) => `${error.field} ${error.detail}`).join('; ');
  const title = status === 400 ? 'The request is not valid' : 'The body is not JSON';
  return problemResponse({ status, title, detail, errors });
}

/** 404: nothing is served under this path. */
export function notFoundProblem(): Response {
  return problemResponse({ status: 404, title: 'Not found', detail: 'Nothing is served under this path.' });
}

/** 404: the path is right and the policy isn't. */
export function unknownPolicyProblem(known: Iterable<string>): Response {
  const detail = `must be one of ${[...known].join(', ')}`;
  const title = 'Unknown policy';
  return problemResponse({ status: 404, title, detail: `policy ${detail}`, errors: [{ field: 'policy', detail }] });
}

/** 405: the path is served, but not for this method. */
export function methodNotAllowedProblem(methods: readonly string[]): Response {
  const allow = methods.join(', ');
  return problemResponse({ status: 405, title: 'Method not allowed', detail: `Allowed: ${allow}.` }, { Allow: allow });
}

/** 413: the body is larger than any valid one. */
export function tooLargeProblem(maxBytes: number): Response {
  const detail = `must be at most ${maxBytes} bytes`;
  const problem = { status: 413, title: 'The body is too large', detail: `body ${detail}` };
  // What is left of the body is thrown away for half a second and then cut; nobody should reuse the connection.
  return problemResponse({ ...problem, errors: [{ field: 'body', detail }] }, { Connection: 'close' });
}

/** 404: the path is right, and what it names does not exist. */
export function unknownThingProblem(what: string): Response {
  return problemResponse({ status: 404, title: `Unknown ${what}`, detail: `There is no such ${what}.` });
}

/** 503: what would answer is away. */
export function unavailableProblem(title: string): Response {
  return problemResponse({ status: 503, title }, { 'Retry-After': '1' });
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
    return problemResponse({ status: error.status, title: error.message === '' ? 'Request refused' : error.message });
  }
  if (error instanceof LimiterInputError) return badRequestProblem([{ field: error.field, detail: error.problem }]);
  if (error instanceof BreakerInputError) return badRequestProblem([{ field: error.field, detail: error.problem }]);
  if (error instanceof InvalidCursorError) {
    return badRequestProblem([{ field: 'after', detail: 'is not a cursor that a page returned' }]);
  }
  if (error instanceof InvalidOptionError) {
    return badRequestProblem([{ field: error.option, detail: 'is out of range' }]);
  }
  if (error instanceof LimiterClosedError) return unavailableProblem('The service is stopping');
  if (error instanceof QueueUnavailableError)
    return unavailableProblem('The Redis of the queue can not be reached right now');
  if (error instanceof StoreUnavailableError) return unavailableProblem('Redis can not be reached right now');
  if (error instanceof LimiterUnavailableError) return unavailableProblem('Redis can not be reached right now');
  if (classifyDbError(error) === 'unavailable') return unavailableProblem('Postgres can not be reached right now');
  return problemResponse({ status: 500, title: 'Internal error' });
}
