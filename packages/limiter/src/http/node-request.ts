import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { LimiterInputError, shown } from '../errors.ts';
import { nodeAddress } from './by-ip.ts';
import type { Refusal } from './guard-options.ts';
import { ALL_HEADERS, EXPOSE_HEADERS, exposeHeaders } from './headers.ts';
import { type ChargeRule, type RateLimitResult, refundUnless } from './limit-request.ts';
import { PROBLEM_TYPE, problemBody } from './problem.ts';

/** A request of Node's HTTP server as the identities of this package read it. */
export interface NodeRequest<Raw = IncomingMessage> {
  readonly headers: Pick<Headers, 'get'>;
  /** The address at the other end of the connection: a proxy's, where there is one. */
  readonly remoteAddress: string | undefined;
  /** The framework's own request, with whatever earlier middleware put there. */
  readonly raw: Raw;
}

/** What is needed of a framework's request to make a {@link NodeRequest}. */
interface RawRequest {
  readonly headers: IncomingHttpHeaders;
  readonly method?: string | undefined;
  readonly socket: Pick<IncomingMessage['socket'], 'remoteAddress' | 'destroyed'>;
}

/** Reads headers and address where Node keeps them, when asked: one small object a request. */
class RequestOfNode<Raw extends RawRequest> implements NodeRequest<Raw> {
  readonly raw: Raw;

  constructor(raw: Raw) {
    this.raw = raw;
  }

  get headers(): Pick<Headers, 'get'> {
    return this;
  }

  get remoteAddress(): string | undefined {
    return nodeAddress(this.raw.socket);
  }

  get(name: string): string | null {
    const value = this.raw.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : (value ?? null);
  }
}

/**
 * Makes a {@link NodeRequest}. A guard may be handed something else where a framework speaks more than HTTP: the context of a
 * GraphQL resolver, a WebSocket.
 * @throws {LimiterInputError} unless it is a request with headers and a socket.
 */
export function nodeRequest<Raw extends RawRequest>(raw: Raw): NodeRequest<Raw> {
  if (!isObject(raw) || !isObject(raw.headers) || !isObject(raw.socket)) {
    throw new LimiterInputError('request', `must be one of Node's HTTP server, not ${shown(raw)}`);
  }
  return new RequestOfNode(raw);
}

/** @throws {LimiterInputError} unless it is a response whose headers can be set. */
export function checkResponse(response: unknown): void {
  if (isObject(response) && 'setHeader' in response) return;
  throw new LimiterInputError('response', `must be one of Node's HTTP server, not ${shown(response)}`);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** How a guard on Node's own response is carried out. */
export interface Outcome {
  /** Your own answer to a refused request, instead of problem+json. Headers and status are set before. */
  readonly onRefused?: (refusal: Refusal) => void;
  /** Whether an answer that has ended counts; one that doesn't is given back. */
  readonly charge?: ChargeRule;
}

/**
 * Sets a result's headers on an answer, and ends it when the request is refused. Slots are given back when the answer has
 * ended or its connection is gone.
 * @returns whether it may go on.
 */
export function carryOut(result: RateLimitResult, response: ServerResponse, { onRefused, charge }: Outcome): boolean {
  if (result.kind === 'pass' && result.slots !== undefined) releaseAfter(response, result.slots.keep());
  if (result.kind === 'pass' && charge !== undefined) refundAfter(response, result.refund, charge);
  // The response has been sent already, for example by a timeout.
  if (response.headersSent) return false;
  if (result.kind === 'refused') for (const name of ALL_HEADERS) response.removeHeader(name);
  for (const [name, value] of Object.entries(result.headers)) response.setHeader(name, value);
  if (result.exposed.length > 0) {
    const current = response.getHeader(EXPOSE_HEADERS);
    response.setHeader(EXPOSE_HEADERS, exposeHeaders(current?.toString(), result.exposed));
  }
  if (result.kind === 'pass') return true;
  const { problem, rateLimit } = result;
  response.statusCode = problem.status;
  if (onRefused !== undefined) {
    onRefused(rateLimit === undefined ? { problem } : { problem, rateLimit });
    return false;
  }
  response.setHeader('Content-Type', PROBLEM_TYPE);
  response.end(problemBody(problem));
  return false;
}

/** Gives back the charge of an answer that doesn't count, once it has been sent. One that was cut off counts. */
export function refundAfter(
  response: ServerResponse,
  refund: (() => Promise<void>) | undefined,
  charge: ChargeRule,
): void {
  if (refund !== undefined) response.once('finish', () => void refundUnless(charge, refund));
}

/** Calls `release` when the answer has ended, or its connection is gone, which may have happened already. */
export function releaseAfter(response: ServerResponse, release: () => void): void {
  // Over HTTP/2 the response doesn't tell, but its stream does.
  const tells: { readonly closed?: boolean; readonly destroyed?: boolean } =
    'stream' in response && isObject(response.stream) ? response.stream : response;
  if (tells.closed === true || tells.destroyed === true) release();
  else response.once('close', release);
}
