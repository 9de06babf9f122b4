import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose';
import type { ApiLogger } from '../logger.ts';
import { type Authenticator, type Scope, scopes, type Verdict } from './principal.ts';

/** Whose tokens to accept. */
export interface JwtRules {
  /** Where the issuer publishes its keys. */
  readonly jwksUrl: string;
  /** What `iss` must be. */
  readonly issuer: string;
  /** What `aud` must hold. */
  readonly audience: string;
}

/** Signatures by a key pair only: with a shared secret whoever can check a token could make one. */
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
 * are ours, with or without the prefix `spillway:`. Keys are fetched once and again when an unknown one signs.
 */
export function jwtAuthenticator({
  jwksUrl,
  issuer,
  audience,
  logger,
}: JwtRules & { readonly logger: ApiLogger }): Authenticator {
  const keySet = createRemoteJWKSet(new URL(jwksUrl), { timeoutDuration: 2_000 });
  const rules = { issuer, audience, algorithms, requiredClaims: ['exp', 'sub'], clockTolerance: 5 };
  return {
    verify: async (token) => {
      try {
        const { payload } = await jwtVerify(token, keySet, rules);
        return { kind: 'known', principal: { id: payload.sub ?? '', kind: 'jwt', scopes: scopesOf(payload) } };
      } catch (error) {
        if (!isOutage(error)) return unknown;
        logger.warn({ err: error }, 'api: the keys of the JWT issuer could not be had');
        return { kind: 'unavailable' };
      }
    },
  };
}

/** jose's own errors are about the token, except when the key set could not be had; other errors come from `fetch`. */
function isOutage(error: unknown): boolean {
  if (!(error instanceof errors.JOSEError)) return true;
  return error.code === 'ERR_JWKS_TIMEOUT' || error.code === 'ERR_JOSE_GENERIC' || error.code === 'ERR_JWKS_INVALID';
}

function scopesOf(payload: JWTPayload): readonly Scope[] {
  const claim = payload['scope'] ?? payload['scp'];
  const words: readonly unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
  return scopes.filter((scope) => words.includes(scope) || words.includes(`spillway:${scope}`));
}
