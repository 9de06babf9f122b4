/** What the identities of this package read of a request: a `Request` has it, and so has a `NodeRequest`. */
export interface RequestHeaders {
  readonly headers: Pick<Headers, 'get'>;
}

/**
 * Names the subject of a request; undefined when the request doesn't say who it is. Text that is ready at once is best
 * returned as it is: a promise costs every request a turn of the event loop's microtasks. A rejection fails the request.
 */
export type Identify<Req = Request> = (request: Req) => string | undefined | Promise<string | undefined>;
