import { createRemoteJWKSet, customFetch, errors, type JWTPayload, jwtVerify } from 'jose';
import type { ApiLogger } from '../logger.ts';
import { type Authenticator, type Verdict, type Scope, scopes } from '../openapi/api-app.ts';

/** Whose tokens to accept. */
export interface JwtRules {
  /** Where the issuer publishes its keys. */
  readonly jwksUrl: string;
  /** What `iss` must be. */
  readonly issuer: string;
  /** What `aud` must hold. */
  readonly audience: string;
}

/** Signatures by a key pair only: with a shared secret, every verifier of a token could also issue one. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

const unknown: Verdict = { kind: 'unknown' };

/**
 * Accepts JWTs of one issuer. A token must say when it ends; its scopes are the words of `scope` (or the list `scp`) that
 * begin with `spillway:`, such as `spillway:read`: a bare `admin` of another API for the same audience is not ours. Keys are
 * fetched once and again when an unknown one signs.
 */
export function jwtAuthenticator({
  jwksUrl,
  issuer,
  audience,
  logger,
}: JwtRules & { readonly logger: ApiLogger }): Authenticator {
  const keySet = createRemoteJWKSet(new URL(jwksUrl), { timeoutDuration: 2_000, [customFetch]: fetchKeys });
  let isAway = false;
  const rules = { issuer, audience, algorithms, requiredClaims: ['exp', 'sub'], clockTolerance: 5 };
  return {
    verify: async (token) => {
      try {
        const { payload } = await jwtVerify(token, keySet, rules);
        isAway = false;
        return { kind: 'known', principal: { id: payload.sub ?? '', kind: 'jwt', scopes: scopesOf(payload) } };
      } catch (error) {
        if (!isOutage(error)) return unknown;
        // Once per outage: any client can send what looks like a token.
        if (!isAway) logger.warn({ err: error }, 'api: the keys of the JWT issuer could not be fetched');
        isAway = true;
        return { kind: 'unavailable' };
      }
    },
  };
}

/** The issuer could not be reached. */
class IssuerUnreachableError extends Error {
  override readonly name = 'IssuerUnreachableError';
  readonly code = 'issuer_unreachable';
}

async function fetchKeys(url: string, options: RequestInit): Promise<Response> {
  return fetch(url, options).catch((cause: unknown) => {
    // jose tells its own timeout by the name.
    if (cause instanceof Error && cause.name === 'TimeoutError') throw cause;
    throw new IssuerUnreachableError('the key set could not be fetched', { cause });
  });
}

/** Whatever isn't about reaching the key set is about the token, or a key that it names and that can't be used. */
function isOutage(error: unknown): boolean {
  if (error instanceof IssuerUnreachableError) return true;
  if (!(error instanceof errors.JOSEError)) return false;
  return error.code === 'ERR_JWKS_TIMEOUT' || error.code === 'ERR_JOSE_GENERIC' || error.code === 'ERR_JWKS_INVALID';
}

function scopesOf(payload: JWTPayload): readonly Scope[] {
  const claim = payload['scope'] ?? payload['scp'];
  const words: readonly unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
  return scopes.filter((scope) => words.includes(`spillway:${scope}`));
}
