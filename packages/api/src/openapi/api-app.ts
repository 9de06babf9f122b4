import { type ApiKeyScope, apiKeyScopes } from '@spillway/db';
import { OpenAPIHono } from '@hono/zod-openapi';
import { getPath } from 'hono/utils/url';
import { badRequestProblem } from '../problems.ts';
import { toFieldErrors } from './fields.ts';

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

/** The routes that end in a name of somebody else's making, which may hold slashes. */
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

/** An application without routes; a request that its routes' schemas refuse gets 400 and a word about each field. */
export function newApiApp(): ApiApp {
  return new OpenAPIHono<ApiEnv>({
    getPath: pathOf,
    defaultHook: (result) => {
      if (result.success) return undefined;
      return badRequestProblem(toFieldErrors(result.error.issues, result.target));
    },
  });
}
