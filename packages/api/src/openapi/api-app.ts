import { type ApiKeyScope, apiKeyScopes } from '@spillway/db';
import { createRoute, OpenAPIHono, type RouteConfig, z } from '@hono/zod-openapi';
import type { MiddlewareHandler } from 'hono';
import { getPath } from 'hono/utils/url';
import { badRequestProblem, fieldProblem } from '../problems.ts';
import { readBody } from './read-body.ts';
import { noQuery, quoted, toFieldErrors } from './fields.ts';

/** The rights of a principal. */
export type Scope = ApiKeyScope;

/** Every scope. */
export const scopes: readonly [Scope, ...Scope[]] = apiKeyScopes;

/** Who sent a request. */
export interface Principal {
  /** A key's id, or a token's subject. */
  readonly id: string;
  readonly kind: 'api-key' | 'jwt';
  readonly scopes: readonly Scope[];
}

/**
 * The result of checking a credential. `unavailable`: it could not be checked because its source is unavailable, which must
 * not be reported to the client as a wrong key.
 */
export type Verdict =
  | { readonly kind: 'known'; readonly principal: Principal }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unavailable' };

/** Authenticates a credential. */
export interface Authenticator {
  /** @param token what followed `Bearer`. Never rejects. */
  verify(token: string): Promise<Verdict> | Verdict;
}

/** What the middleware leaves for the handlers. */
export interface ApiEnv {
  readonly Variables: {
    readonly requestId: string;
    /** Set behind a guard; absent elsewhere. */
    readonly principal?: Principal;
  };
}

/** The API as a Hono application that knows its own OpenAPI document. */
export type ApiApp = OpenAPIHono<ApiEnv>;

/** The routes that end in a name chosen by clients, which may contain slashes. */
const named = [/^(\/v1\/breakers\/)(.+)()$/su, /^(\/v1\/metrics\/)(.+)(\/stats)$/su];

/**
 * The path that routes are matched by. Proxies that decode `%2F` make one name look like several parts of a path; here it is
 * put together again, since nothing else is served below these paths.
 */
function pathOf(request: Request): string {
  const path = getPath(request);
  for (const pattern of named) {
    const [, before, name, after] = pattern.exec(path) ?? [];
    if (name !== undefined) return `${before}${name.replaceAll('/', '%2F')}${after}`;
  }
  return path;
}

/** The headers that change what a request does: a client that sends one relies on it. */
const promises = ['If-Match', 'If-None-Match', 'Idempotency-Key'] as const;

/**
 * Refuses what a route would ignore although its sender relies on it: a condition for a change, which would be made without it, and an
 * `Idempotency-Key` where each request creates another thing.
 */
function heedsAll({ method, request, responses }: RouteConfig): MiddlewareHandler {
  const { headers } = request ?? {};
  const heeded = headers instanceof z.ZodObject ? Object.keys(headers.shape) : [];
  const creates = '201' in responses;
  const ignored = promises.filter((name) => !heeded.includes(name) && (creates || name !== 'Idempotency-Key'));
  return async ({ req }, next) => {
    const found = method === 'get' ? undefined : ignored.find((name) => req.header(name) !== undefined);
    if (found !== undefined) return fieldProblem('invalid-request', found, 'is not supported here: it must be absent');
    await next();
    return undefined;
  };
}

/**
 * A route that refuses what it doesn't know: parameters, and headers that it doesn't heed. Its body is read behind its guard:
 * nothing is collected for a client that may not use the route.
 */
function strict(route: RouteConfig): RouteConfig {
  const { body } = route.request ?? {};
  const reading = body === undefined ? [] : [readBody({ optional: body.required !== true })];
  return createRoute({
    ...route,
    request: { query: noQuery, ...route.request },
    middleware: [...[route.middleware ?? []].flat(), ...reading, heedsAll(route)],
  });
}

/** An application without routes; a request that its routes' schemas refuse gets 400 and a word about each field. */
export function newApiApp(): ApiApp {
  const app = new OpenAPIHono<ApiEnv>({
    getPath: pathOf,
    defaultHook: (result) => {
      if (result.success) return undefined;
      return badRequestProblem(toFieldErrors(result.error.issues, result.target));
    },
  });
  const { openapi } = app;
  // The one place that every route passes: none can forget it.
  return Object.assign(app, {
    openapi: (route: RouteConfig, ...handlers: unknown[]): unknown =>
      Reflect.apply(openapi, app, [strict(route), ...handlers]),
  });
}

/**
 * Refuses a URL whose percent-encoding is not UTF-8. Decoders that don't fail take such a name as it is, or with other characters in its
 * place: it would be another subject than its sender means.
 */
export const readableUrl: MiddlewareHandler = async ({ req }, next) => {
  const unreadable = req.url.includes('%') ? unreadablePart(req.url) : undefined;
  if (unreadable !== undefined) return fieldProblem('invalid-request', unreadable, 'must be percent-encoded UTF-8');
  await next();
  return undefined;
};

function unreadablePart(url: string): string | undefined {
  const [place = '', ...rest] = url.split('?');
  if (!isReadable(place)) return 'path';
  const unreadable = rest
    .join('?')
    .split('&')
    .find((pair) => !isReadable(pair));
  return unreadable === undefined ? undefined : quoted(unreadable.split('=')[0] ?? '');
}

function isReadable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
