import { type CountRequest, type TooManyAttempts, tooManyAttempts, type Verify } from './bounds.ts';
import type { Context, MiddlewareHandler } from 'hono';
import type { ApiEnv, Authenticator, Principal, Scope, Verdict } from '../openapi/api-app.ts';
import { fieldProblem, problem } from '../problems.ts';
import { type Credential, credentialOf, type Sessions } from './credential.ts';

/** What a guarded route says of itself: the middleware that guards it, and the OpenAPI description of that. */
export interface Guarded {
  readonly middleware: MiddlewareHandler<ApiEnv>;
  readonly security: { key: string[] }[];
}

/** Makes the guard of a route that needs a scope, or one of several. */
export type Guard = (...wanted: readonly [Scope, ...Scope[]]) => Guarded;

/** Authenticates a request: sets its principal, or returns the refusal. */
type Admission = (context: Context<ApiEnv>) => Promise<Response | undefined>;

/** Makes the admission of a route that needs a scope, or one of several. */
export type Admit = (...wanted: readonly [Scope, ...Scope[]]) => Admission;

/** Admits by what follows `Authorization: Bearer`, and by the dashboard's sessions where there are any. */
export function admitBy(verify: Verify, sessions?: Sessions): Admit {
  return (...wanted) =>
    async (context) => {
      const result = await identify(verify, context, await credentialOf(context, sessions));
      if (result instanceof Response) return result;
      if (!allows(result.scopes, ...wanted)) return forbidden(...wanted);
      context.set('principal', result);
      return undefined;
    };
}

/** The same as middleware of routes, with its OpenAPI description. Who is admitted is counted, but for what breakers send. */
export function guardWith(admit: Admit, count: CountRequest = async () => undefined): Guard {
  return (...wanted) => {
    const admission = admit(...wanted);
    const counted = async (context: Context<ApiEnv>): Promise<Response | undefined> => {
      const principal = context.get('principal');
      return principal === undefined || wanted.includes('report') ? undefined : count(principal);
    };
    return {
      security: securityOf(...wanted),
      middleware: async (context, next) => {
        const refused = (await admission(context)) ?? (await counted(context));
        if (refused !== undefined) return refused;
        await next();
        // A response that needs a credential must not be cached for others.
        if (!context.res.headers.has('Cache-Control')) context.header('Cache-Control', 'no-store');
        return undefined;
      },
    };
  };
}

/** OpenAPI 3.1: what a bearer needs; any of them is enough, and so is admin. */
export function securityOf(...wanted: readonly [Scope, ...Scope[]]): { key: string[] }[] {
  return wanted.map((scope) => ({ key: [scope] }));
}

async function identify(
  verify: Verify,
  context: Context<ApiEnv>,
  credential: Credential,
): Promise<Principal | Response> {
  switch (credential.kind) {
    case 'none':
      return unauthorized('is missing: it must be Bearer and a key');
    case 'unreadable':
      return unauthorized('must be Bearer and a key');
    case 'cross-site':
      return crossSite();
    default:
      return principalOf(await verify(context, credential.token));
  }
}

/** Who it is, or the refusal. */
export function principalOf(verdict: Verdict | TooManyAttempts): Principal | Response {
  if (verdict.kind === 'too-many') return tooManyAttempts(verdict);
  if (verdict.kind === 'known') return verdict.principal;
  if (verdict.kind === 'unknown') return unauthorized('holds a key that is not valid', 'invalid_token');
  return problem('keys-unavailable', {}, { 'Retry-After': '1' });
}

function unauthorized(detail: string, error?: string): Response {
  const challenge = error === undefined ? 'Bearer realm="spillway"' : `Bearer realm="spillway", error="${error}"`;
  return fieldProblem('not-authenticated', 'Authorization', detail, { 'WWW-Authenticate': challenge });
}

/** The refusal of a request that a page of another site made. */
export function crossSite(): Response {
  return problem('cross-site', { detail: 'Origin is another site, or missing.' });
}

/** The refusal of an authenticated principal that lacks a scope. */
export function forbidden(...wanted: readonly [Scope, ...Scope[]]): Response {
  return problem(
    'insufficient-scope',
    { detail: `This needs a key with the scope ${wanted.join(' or ')}.` },
    { 'WWW-Authenticate': `Bearer realm="spillway", error="insufficient_scope", scope="${wanted.join(' ')}"` },
  );
}

/** Whether these scopes include one of the wanted ones. */
export function allows(granted: readonly Scope[], ...wanted: readonly Scope[]): boolean {
  return granted.includes('admin') || wanted.some((scope) => granted.includes(scope));
}

/** Keys begin with `sw_`, and everything else that looks like a JWT goes to the issuer's rules, if there is an issuer. */
export function authenticator(keys: Authenticator, jwt?: Authenticator): Authenticator {
  return {
    verify: (token) =>
      jwt !== undefined && /^[\w-]+\.[\w-]+\.[\w-]+$/u.test(token) ? jwt.verify(token) : keys.verify(token),
  };
}
