import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { nodeAddress } from './identity/connection-address.ts';
import { EXPOSE_HEADERS, exposeHeaders } from './expose-headers.ts';
import { ALL_HEADERS } from './headers.ts';
import { type Verdict } from './judge.ts';
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

/** Reads headers where Node keeps them. A class, so that a request makes one small object and no function. */
class NodeHeaders implements Pick<Headers, 'get'> {
  readonly #raw: RawRequest;

  constructor(raw: RawRequest) {
    this.#raw = raw;
  }

  get(name: string): string | null {
    const value = this.#raw.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(', ') : (value ?? null);
  }
}

/** Makes a {@link NodeRequest}. */
export function nodeRequest<Raw extends RawRequest>(raw: Raw): NodeRequest<Raw> {
  return { headers: new NodeHeaders(raw), remoteAddress: nodeAddress(raw.socket), raw };
}

/**
 * Sets the verdict's headers on an answer, and ends it when the request is refused. Slots are given back when the answer
 * has ended or its connection is gone.
 * @returns whether it may go on.
 */
export function carryOut(verdict: Verdict, response: ServerResponse): boolean {
  if (verdict.kind === 'pass' && verdict.slots !== undefined) releaseAfter(response, verdict.slots.keep());
  // Somebody was faster, such as a timeout: there is nothing left to say.
  if (response.headersSent) return false;
  if (verdict.kind === 'refused') for (const name of ALL_HEADERS) response.removeHeader(name);
  for (const [name, value] of Object.entries(verdict.headers)) response.setHeader(name, value);
  if (verdict.exposed.length > 0) {
    const current = response.getHeader(EXPOSE_HEADERS);
    response.setHeader(EXPOSE_HEADERS, exposeHeaders(current?.toString(), verdict.exposed));
  }
  if (verdict.kind === 'pass') return true;
  response.statusCode = verdict.problem.status;
  response.setHeader('Content-Type', PROBLEM_TYPE);
  response.end(problemBody(verdict.problem));
  return false;
}

/** Calls `release` when the answer has ended, or its connection is gone, which may have happened already. */
export function releaseAfter(response: ServerResponse, release: () => void): void {
  if (response.closed || response.destroyed) release();
  else response.once('close', release);
}
