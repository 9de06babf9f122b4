import type { Context } from 'hono';
import type { ApiEnv } from '../openapi/api-app.ts';
import { createHash } from 'node:crypto';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { EncryptJWT, jwtDecrypt } from 'jose';

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

/** Keeps a browser logged in. */
export interface Sessions {
  /** Puts a credential into the cookie of the answer. */
  open(context: Context, token: string): Promise<void>;
  /** The credential of the cookie that came along; undefined when there is none, or it is too old or not ours. */
  tokenOf(context: Context): Promise<string | undefined>;
  end(context: Context): void;
}

/** Over HTTPS it has the prefix `__Host-`: then no other subdomain can set one of its own in its place. */
const COOKIE = 'spillway_session';
const HOURS = 12;

/**
 * Sessions without a store: the cookie holds the credential itself, encrypted, and each request checks it again. So a key
 * that is revoked or loses a scope ends or narrows its sessions within the second in which it ends everywhere else, and any
 * API process with the same secret knows the session. No script can read the cookie, and other sites' requests don't carry it.
 * @param secret at least 32 characters; together with a cookie it reveals the credential
 */
export function cookieSessions(secret: string): Sessions {
  const key = createHash('sha256').update('spillway session\n').update(secret).digest();
  return {
    async open(context, token) {
      const cookie = await new EncryptJWT({ token })
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .setIssuedAt()
        .setExpirationTime(`${HOURS}h`)
        .encrypt(key);
      const secure = isHttps(context);
      setCookie(context, COOKIE, cookie, {
        ...(secure ? { prefix: 'host' } : {}),
        httpOnly: true,
        sameSite: 'Strict',
        secure,
        path: '/',
        maxAge: HOURS * 3_600,
      });
      context.header('Cache-Control', 'no-store');
    },
    async tokenOf(context) {
      const cookie = getCookie(context, COOKIE, 'host') ?? (isHttps(context) ? undefined : getCookie(context, COOKIE));
      if (cookie === undefined) return undefined;
      try {
        const { payload } = await jwtDecrypt<{ token?: unknown }>(cookie, key);
        return typeof payload.token === 'string' ? payload.token : undefined;
      } catch {
        return undefined;
      }
    },
    end(context) {
      deleteCookie(context, COOKIE, { path: '/' });
      deleteCookie(context, COOKIE, { path: '/', secure: true, prefix: 'host' });
    },
  };
}

/**
 * Whether the browser speaks HTTPS, to us or to the first of the proxies before us: each adds what it was spoken to, and a
 * page's own origin says it too. A client that lies only makes its cookie useless to itself.
 */
function isHttps(context: Context): boolean {
  const { req } = context;
  const forwarded = req.header('X-Forwarded-Proto')?.split(',')[0]?.trim().toLowerCase();
  const standard = /(?:^|;)\s*proto="?https"?\s*(?:;|$)/iu.test(req.header('Forwarded')?.split(',')[0] ?? '');
  const page = req.header('Origin')?.startsWith('https:') === true;
  return forwarded === 'https' || standard || page || req.url.startsWith('https:');
}
