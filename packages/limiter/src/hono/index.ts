import type { IncomingMessage, ServerResponse } from 'node:http';
import { builtinModule } from '@spillway/redis/core';
import type { Context, MiddlewareHandler } from 'hono';
import { byConnection } from '../http/by-ip.ts';
import { checkGuardOptions, type GuardOptions, type RateLimitInfo, type Refusal } from '../http/guard-options.ts';
import { ownResponse } from '../http/guard.ts';
import { ALL_HEADERS, EXPOSE_HEADERS, exposeHeaders, isPreflight } from '../http/headers.ts';
import { type IdentifyInContext, isOfHeadersAlone, type RequestHeaders } from '../http/identity.ts';
import { limitRequest, type RateLimitResult, refundUnless } from '../http/limit-request.ts';
import { nodeRequest, releaseAfter } from '../http/node-request.ts';
import { problemResponse } from '../http/problem.ts';

/** Options of {@link rateLimit}: which policy to check, for which subject. */
export interface RateLimitOptions extends Omit<GuardOptions<Request, Context>, 'identify'> {
  /**
   * Who is asking; the context has what earlier middleware found out. @default the address of the connection, which
   * @hono/node-server, Bun and Deno tell; elsewhere it must be given
   */
  readonly identify?: (request: Request, context: Context) => string | undefined | Promise<string | undefined>;
  /** Your own answer to a refused request; the rate limit headers are added to it. @default problem+json */
  readonly onRefused?: (context: Context, refusal: Refusal) => Response | Promise<Response>;
  /**
   * Whether a request counts, asked when its handler has answered (`context.res`). One that doesn't gets its units back before
   * the answer is sent. One whose handler threw counts, unless an error handler of the application has answered. @default all count
   */
  readonly chargeIf?: (context: Context) => boolean | Promise<boolean>;
}

declare module 'hono' {
  interface ContextVariableMap {
    /** What `rateLimit` decided; absent for a request that it skipped. */
    rateLimit?: RateLimitInfo;
  }
}

/** Contexts that a guard has refused: those in front of it leave its figures alone. */
const refused = new WeakSet<Context>();

/**
 * Hono middleware that lets a request pass only within the policy. Refused ones get 429 as problem+json; all get the
 * rate limit headers, and a browser's preflight passes uncharged. Without `identify` the subject is the address of the
 * connection: behind a proxy pass `byIp({ trustedProxies })`. Slots of `concurrency` policies are given back when the
 * answer has ended; where the runtime doesn't tell (anywhere but on @hono/node-server), when the handler has answered.
 *
 * On @hono/node-server headers are read from Node's request and set on Node's response: a `Headers` object for each
 * would cost more than the decision. Middleware outside doesn't find them on `context.res` then.
 * @example
 * ```ts
 * app.use('/api/*', rateLimit({ limiter, policy: 'standard' }));
 * ```
 * @throws {LimiterInputError} at construction, when an option can't be used; at a request, when `identify` is missing and
 * nothing tells the address.
 */
export function rateLimit(given: RateLimitOptions): MiddlewareHandler {
  const { identify, ...chosen } = given ?? {};
  const { onRefused, chargeIf, ...asked } = chosen;
  const identified = identify === undefined ? {} : { identify: inContext(identify) };
  checkGuardOptions<RequestHeaders, Context>({ ...chosen, ...identified }, ['onRefused', 'chargeIf']);
  const { limiter } = asked;
  const guarded = { ...asked, identify: identify === undefined ? byConnection : inContext(identify) };
  return async (context, next) => {
    const node = nodeBindings(context.env);
    const request = node === undefined ? context.req.raw : nodeRequest(node.incoming);
    if (isPreflight(context.req.method, request)) return next();
    const result = await limitRequest(request, guarded, { of: context, context, once: context });
    if (result.rateLimit !== undefined) context.set('rateLimit', result.rateLimit);
    if (result.kind === 'refused') return refuse(context, result, { node, onRefused });
    if (node !== undefined) {
      setOnNode(node, result);
      await next();
      if (chargeIf !== undefined) await refundUnless({ limiter, chargeIf: () => chargeIf(context) }, result.refund);
      if (!refused.has(context)) expose(context, result.exposed);
      return undefined;
    }
    const release = result.slots?.keep();
    try {
      await next();
      if (chargeIf !== undefined) await refundUnless({ limiter, chargeIf: () => chargeIf(context) }, result.refund);
    } finally {
      release?.();
    }
    if (!refused.has(context)) setHeaders(context, result);
    return undefined;
  };
}

type Pass = Extract<RateLimitResult, { kind: 'pass' }>;
type Refused = Extract<RateLimitResult, { kind: 'refused' }>;

/** How a refusal is answered. */
interface Answering {
  readonly node: NodeBindings | undefined;
  readonly onRefused: RateLimitOptions['onRefused'];
}

/** What `identify` gets: Node's own request where it needs no more, else the `Request` and its context. */
function inContext(identify: NonNullable<RateLimitOptions['identify']>): IdentifyInContext<RequestHeaders> {
  if (typeof identify !== 'function' || isOfHeadersAlone(identify)) return identify;
  return (_request, context) => {
    if (!isContext(context)) throw new TypeError('there is no context');
    return identify(context.req.raw, context);
  };
}

function isContext(value: unknown): value is Context {
  return typeof value === 'object' && value !== null && 'req' in value;
}

async function refuse(context: Context, result: Refused, { node, onRefused }: Answering): Promise<Response> {
  refused.add(context);
  if (node !== undefined && !node.outgoing.headersSent) {
    for (const name of ALL_HEADERS) node.outgoing.removeHeader(name);
  }
  expose(context, result.exposed);
  const { problem, headers, rateLimit: decided } = result;
  if (onRefused === undefined) return problemResponse(problem, headers);
  const response = ownResponse(
    await onRefused(context, decided === undefined ? { problem } : { problem, rateLimit: decided }),
  );
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  return response;
}

function setOnNode({ outgoing }: NodeBindings, { headers, slots }: Pass): void {
  if (slots !== undefined) releaseAfter(outgoing, slots.keep());
  if (!outgoing.headersSent) for (const name in headers) outgoing.setHeader(name, headers[name] ?? '');
}

/** A runtime knows its own object again when the connection becomes a WebSocket: a copy would undo that. */
const SWITCHING_PROTOCOLS = 101;

function setHeaders(context: Context, { headers, exposed }: Pass): void {
  if (context.res.status === SWITCHING_PROTOCOLS) return;
  // As on Node, the handler has the last word, and a guard behind this one.
  for (const name in headers) if (!context.res.headers.has(name)) setHeader(context, name, headers[name] ?? '');
  expose(context, exposed);
}

function expose(context: Context, names: readonly string[]): void {
  if (names.length === 0 || context.res.status === SWITCHING_PROTOCOLS) return;
  setHeader(context, EXPOSE_HEADERS, exposeHeaders(context.res.headers.get(EXPOSE_HEADERS), names));
}

// `context.header` creates a new response for each header that comes after it; most responses' own headers can be set.
function setHeader(context: Context, name: string, value: string): void {
  try {
    context.res.headers.set(name, value);
  } catch {
    // What `fetch` or `Response.redirect` answers can't be changed: it is copied, once.
    copyResponse(context, name, value);
  }
}

function copyResponse(context: Context, name: string, value: string): void {
  try {
    context.header(name, value);
  } catch {
    // `Response.error()` can't even be copied, and has nobody to read headers.
  }
}

const http = builtinModule('node:http');

/** Node's own request and response, which @hono/node-server hands on. */
interface NodeBindings {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/** The bindings in a context's `env`; undefined on other runtimes, over HTTP/2, and in tests by `app.request()`. */
function nodeBindings(env: unknown): NodeBindings | undefined {
  return isNodeBindings(env) ? env : undefined;
}

function isNodeBindings(env: unknown): env is NodeBindings {
  return (
    http !== undefined &&
    typeof env === 'object' &&
    env !== null &&
    'incoming' in env &&
    env.incoming instanceof http.IncomingMessage &&
    'outgoing' in env &&
    env.outgoing instanceof http.ServerResponse
  );
}
