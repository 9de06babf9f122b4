import { type ApiKeyScope, apiKeyScopes } from '@spillway/db';

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
