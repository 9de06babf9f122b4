import type { Context } from 'hono';
import type { ApiEnv } from '../openapi/api-app.ts';
import type { Sessions } from './session.ts';

/** The credential of a request, or what is wrong with it. */
export type Credential =
  | { readonly kind: 'token'; readonly token: string; readonly from: 'header' | 'session' }
  | { readonly kind: 'none' }
  | { readonly kind: 'unreadable' }
  /** A browser sent a session along with a request that another site made. */
  | { readonly kind: 'cross-site' };

/** A key is 79 characters; a JWT may be long, but not endless. */
export const MAX_TOKEN = 8_192;

/** What the `Authorization` header holds, or else the session's cookie. */
export async function credentialOf(context: Context<ApiEnv>, sessions: Sessions | undefined): Promise<Credential> {
  const header = context.req.header('Authorization');
  if (header !== undefined) {
    const token = /^Bearer +([\w.~+/=-]+) *$/iu.exec(header)?.[1];
    if (token === undefined || token.length > MAX_TOKEN) return { kind: 'unreadable' };
    return { kind: 'token', token, from: 'header' };
  }
  const token = await sessions?.tokenOf(context);
  if (token === undefined) return { kind: 'none' };
  if (isChange(context) && !isSameOrigin(context)) return { kind: 'cross-site' };
  return { kind: 'token', token, from: 'session' };
}

function isChange(context: Context): boolean {
  return !['GET', 'HEAD'].includes(context.req.method);
}

/**
 * Whether a page of ours made the request. `SameSite=Strict` keeps the cookie from other sites already; this also refuses
 * another port or subdomain of the same site. `Sec-Fetch-Site` comes from the browser itself and is right behind any proxy;
 * browsers leave it out over plain HTTP. Then Origin must name the host that was asked for, as the browser or the proxy
 * before us says it. No page of another site can set either header without a preflight, which nothing here answers.
 */
export function isSameOrigin(context: Context): boolean {
  const site = context.req.header('Sec-Fetch-Site');
  if (site !== undefined) return site === 'same-origin';
  const origin = context.req.header('Origin');
  if (origin === undefined || !URL.canParse(origin)) return false;
  const asked = context.req.header('X-Forwarded-Host')?.split(',')[0]?.trim();
  const own = context.req.header('Host') ?? new URL(context.req.url).host;
  const { host } = new URL(origin);
  return host === own || host === asked;
}
