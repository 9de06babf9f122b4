import type { Context, MiddlewareHandler } from 'hono';
import { EXPOSE_HEADERS, exposeHeaders } from '../http/expose-headers.ts';
import { byApiKey } from '../http/identity/by-api-key.ts';
import { checkGuardOptions, checkIdentify, type GuardOptions, judge, type Verdict } from '../http/judge.ts';
import { nodeRequest, releaseAfter } from '../http/node-request.ts';
import { problemResponse } from '../http/problem.ts';
import { type NodeBindings, nodeBindings } from './node-bindings.ts';

/** Options of {@link rateLimit}: which policy to check, for whom. */
export interface RateLimitOptions extends Omit<GuardOptions, 'identify'> {
  /** Who is asking; the context has what earlier middleware found out. @default byApiKey */
  readonly identify?: (request: Request, context: Context) => string | undefined | Promise<string | undefined>;
}

/**
 * Hono middleware that lets a request pass only within the policy. Refused ones get 429 as problem+json; all get the
 * rate limit headers. Slots of `concurrency` policies are given back when the answer has ended; where the runtime
 * doesn't tell (anywhere but on @hono/node-server), when the handler has answered.
 *
 * On @hono/node-server headers are read from Node's request and set on Node's response: a `Headers` object for each
 * would cost more than the decision. Middleware outside doesn't find them on `context.res` then.
 * @example
 * ```ts
 * app.use('/api/*', rateLimit({ limiter, policy: 'standard' }));
 * ```
 * @throws {LimiterInputError} at construction, when an option can't be used.
 */
export function rateLimit({ identify, ...options }: RateLimitOptions): MiddlewareHandler {
  checkGuardOptions(options);
  checkIdentify(identify);
  const byDefault = { ...options, identify: byApiKey };
  return async (context, next) => {
    const node = nodeBindings(context.env);
    const request = node === undefined ? context.req.raw : nodeRequest(node.incoming);
    const verdict = await judge(
      request,
      identify === undefined ? byDefault : { ...options, identify: () => identify(context.req.raw, context) },
    );
    if (verdict.kind === 'refused') {
      if (verdict.exposed.length > 0) expose(context, verdict.exposed);
      return problemResponse(verdict.problem, verdict.headers);
    }
    if (node !== undefined) {
      setOnNode(node, verdict);
      await next();
      if (verdict.exposed.length > 0) expose(context, verdict.exposed);
      return undefined;
    }
    try {
      await next();
    } finally {
      verdict.release?.();
    }
    setHeaders(context, verdict.headers);
    if (verdict.exposed.length > 0) expose(context, verdict.exposed);
    return undefined;
  };
}

type Pass = Extract<Verdict, { kind: 'pass' }>;

function setOnNode({ outgoing }: NodeBindings, { headers, release }: Pass): void {
  if (release !== undefined) releaseAfter(outgoing, release);
  if (!outgoing.headersSent) for (const name in headers) outgoing.setHeader(name, headers[name] ?? '');
}

// `context.header` makes a response anew for each header that comes after it; most responses' own headers can be set.
function setHeaders(context: Context, headers: Record<string, string>): void {
  const entries = Object.entries(headers);
  try {
    const own = context.res.headers;
    for (const [name, value] of entries) own.set(name, value);
  } catch {
    // What `fetch` answers can't be changed.
    for (const [name, value] of entries) context.header(name, value);
  }
}

function expose(context: Context, names: readonly string[]): void {
  context.header(EXPOSE_HEADERS, exposeHeaders(context.res.headers.get(EXPOSE_HEADERS), names));
}
