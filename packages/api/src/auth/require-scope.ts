import { problemResponse } from '@spillway/limiter/http';
import type { MiddlewareHandler } from 'hono';
import type { ApiEnv } from '../openapi/api-app.ts';
import { allows, type Authenticator, type Principal, type Scope } from './principal.ts';

/** What a guarded route says of itself: the middleware that guards it, and the OpenAPI description of that. */
export interface Guarded {
  readonly middleware: MiddlewareHandler<ApiEnv>;
  readonly security: { key: string[] }[];
}

/** Makes the guard of a route that needs a scope. */
export type Guard = (scope: Scope) => Guarded;

/** A key is 79 characters; a JWT may be long, but not endless. */
const MAX_TOKEN = 8_192;

/** Guards routes by what follows `Authorization: Bearer`. */
export function guardWith(authenticator: Authenticator): Guard {
  return (scope) => ({ security: [{ key: [] }], middleware: requireScope(authenticator, scope) });
}

function requireScope(authenticator: Authenticator, scope: Scope): MiddlewareHandler<ApiEnv> {
  return async (context, next) => {
    const result = await identify(authenticator, context.req.header('Authorization'));
    if (result instanceof Response) return result;
    if (!allows(result.scopes, scope)) return forbidden(scope);
    context.set('principal', result);
    await next();
    return undefined;
  };
}

async function identify(authenticator: Authenticator, header: string | undefined): Promise<Principal | Response> {
  if (header === undefined) return unauthorized('is missing: it must be Bearer and a key');
  const token = /^Bearer +([\w.~+/=-]+) *$/iu.exec(header)?.[1];
  if (token === undefined || token.length > MAX_TOKEN) return unauthorized('must be Bearer and a key');
  const verdict = await authenticator.verify(token);
  if (verdict.kind === 'known') return verdict.principal;
  if (verdict.kind === 'unknown') return unauthorized('holds a key that is not valid', 'invalid_token');
  return problemResponse({ status: 503, title: 'Keys can not be checked right now' }, { 'Retry-After': '1' });
}

function unauthorized(detail: string, error?: string): Response {
  const challenge = error === undefined ? 'Bearer realm="spillway"' : `Bearer realm="spillway", error="${error}"`;
  return problemResponse(
    {
      status: 401,
      title: 'Not authenticated',
      detail: `Authorization ${detail}`,
      errors: [{ field: 'Authorization', detail }],
    },
    { 'WWW-Authenticate': challenge },
  );
}

function forbidden(scope: Scope): Response {
  return problemResponse(
    { status: 403, title: 'Not allowed', detail: `This needs a key with the scope ${scope}.` },
    { 'WWW-Authenticate': `Bearer realm="spillway", error="insufficient_scope", scope="${scope}"` },
  );
}
