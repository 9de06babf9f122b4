import { checkMembers, LimiterInputError, shown } from '../../errors.ts';
import { readsHeadersAlone, type RequestHeaders } from './identity.ts';

/** What {@link byJwtSubject} reads of a verified token. */
export interface JwtClaims {
  /** Who the token is about. */
  readonly sub?: unknown;
  /** The issuer: the same `sub` of another issuer is another subject. */
  readonly iss?: unknown;
}

/** How {@link byJwtSubject} checks tokens. */
export interface ByJwtSubjectOptions {
  /**
   * Resolves to the claims of a token whose signature, issuer, audience and expiry it has checked; rejects or throws for
   * any other. The request waits for it, so it needs a deadline of its own where it asks the network.
   */
  readonly verify: (token: string) => JwtClaims | Promise<JwtClaims>;
}

/** The credentials of RFC 6750, `Bearer` and a b64token; the scheme's case doesn't matter (RFC 9110). */
const BEARER = /^bearer +([\w.~+/-]+=*)$/i;

/**
 * The subject by the verified token of `Authorization: Bearer …`: `jwt:ISS|SUB` of its claims, or `jwt:SUB` of one without
 * an issuer, so that user 1 of one issuer isn't user 1 of another. No token, one that doesn't
 * verify and one without `sub` give no identity; nor does any while the verifier fails. The token is passed to
 * `verify` and nowhere else: neither it nor the verifier's error is kept or reported.
 * @example With jose
 * ```ts
 * const keys = createRemoteJWKSet(new URL('https://issuer.example/.well-known/jwks.json'), { timeoutDuration: 1000 });
 * const identify = byJwtSubject({
 *   verify: async (token) => (await jwtVerify(token, keys, { issuer: 'https://issuer.example', audience: 'api' })).payload,
 * });
 * ```
 * @throws {LimiterInputError} at construction, when `verify` is no function.
 */
export function byJwtSubject(options: ByJwtSubjectOptions): (request: RequestHeaders) => Promise<string | undefined> {
  checkMembers('options', options, ['verify']);
  const { verify } = options;
  if (typeof verify !== 'function') throw new LimiterInputError('verify', `must be a function, not ${shown(verify)}`);
  return readsHeadersAlone(async (request: RequestHeaders) => {
    const token = BEARER.exec(request.headers.get('authorization') ?? '')?.[1];
    if (token === undefined) return undefined;
    try {
      return subjectOf(await verify(token));
    } catch {
      return undefined;
    }
  });
}

// The first bar ends the issuer, and a subject without one has none: no two pairs of claims make one subject.
function subjectOf({ sub, iss }: JwtClaims): string | undefined {
  if (typeof sub !== 'string' || sub === '') return undefined;
  if (iss === undefined || iss === null) return `jwt:${withoutBar(sub)}`;
  return typeof iss === 'string' ? `jwt:${withoutBar(iss)}|${sub}` : undefined;
}

function withoutBar(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('|', '%7C');
}
