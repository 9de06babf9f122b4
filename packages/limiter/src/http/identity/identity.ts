/** What the identities of this package read of a request: a `Request` has it, and so has a `NodeRequest`. */
export interface RequestHeaders {
  readonly headers: Pick<Headers, 'get'>;
}

/**
 * Names the subject of a request; undefined when the request doesn't say who it is. Text that is ready at once is best
 * returned as it is: a promise costs every request a turn of the event loop's microtasks. A rejection fails the request,
 * but for an {@link UnusableIdentityError}.
 */
export type Identify<Req = Request> = (request: Req) => string | undefined | Promise<string | undefined>;

/** An {@link Identify} that also gets what a framework has of the request, such as Hono's context. */
export type IdentifyInContext<Req = Request> = (request: Req, context?: unknown) => ReturnType<Identify<Req>>;

/** An `identify` throws or rejects with it when what the request says of itself can't be used: the client gets 400. */
export class UnusableIdentityError extends Error {
  readonly code = 'unusable_identity';
  override readonly name = 'UnusableIdentityError';
  /** The header or part of the request that is wrong. */
  readonly field: string;
  /** What is wrong with it, as the client is told. */
  readonly problem: string;

  constructor(field: string, problem: string) {
    super(`${field} ${problem}`);
    this.field = field;
    this.problem = problem;
  }
}

const ofHeadersAlone = new WeakSet<object>();

/**
 * Marks an identity that reads headers and the connection alone. On @hono/node-server it is given Node's own request:
 * a `Request` with its `Headers` would cost more than the decision.
 */
export function readsHeadersAlone<Identity extends object>(identify: Identity): Identity {
  ofHeadersAlone.add(identify);
  return identify;
}

/** Whether {@link readsHeadersAlone} marked it. */
export function isOfHeadersAlone(identify: object): identify is IdentifyInContext<RequestHeaders> {
  return ofHeadersAlone.has(identify);
}
