import { LimiterInputError, shown } from '../../errors.ts';
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
  /** What is wrong with it, as the client sees it. */
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

/**
 * Asks one after the other and takes the first that knows; later ones aren't asked. It answers at once as long as those
 * it asks do. Each but the last must verify what it reads: a client that can make one up chooses whom to be counted as.
 * @example
 * ```ts
 * const identify = firstOf(byJwtSubject({ verify }), byIp({ trustedProxies: ['10.0.0.0/8'] }));
 * ```
 * @throws {LimiterInputError} at construction, without any or when one is no function.
 */
export function firstOf<Req = Request>(...identifies: readonly IdentifyInContext<Req>[]): IdentifyInContext<Req> {
  if (identifies.length === 0) throw new LimiterInputError('identifies', 'must be at least one function, not none');
  for (const identify of identifies) {
    if (typeof identify !== 'function') {
      throw new LimiterInputError('identifies', `must be functions, not ${shown(identify)}`);
    }
  }
  const first: IdentifyInContext<Req> = (request, context) => askFrom(identifies, 0, request, context);
  return identifies.every(isOfHeadersAlone) ? readsHeadersAlone(first) : first;
}

function askFrom<Req>(
  identifies: readonly IdentifyInContext<Req>[],
  from: number,
  request: Req,
  context: unknown,
): ReturnType<Identify<Req>> {
  for (const [index, identify] of identifies.entries()) {
    if (index < from) continue;
    const named = identify(request, context);
    if (typeof named === 'string') return named;
    if (named !== undefined) return orElse(named, () => askFrom(identifies, index + 1, request, context));
  }
  return undefined;
}

async function orElse(
  named: Promise<string | undefined>,
  next: () => string | undefined | Promise<string | undefined>,
): Promise<string | undefined> {
  return (await named) ?? next();
}
