/**
 * What somebody may do. `decide`: ask for decisions. `read`: look at the trail, policies and breakers. `admin`:
 * everything, those two included.
 */
export type Scope = 'decide' | 'read' | 'admin';

/** Every scope. */
export const scopes: readonly [Scope, ...Scope[]] = ['decide', 'read', 'admin'];

/** Who sent a request. */
export interface Principal {
  /** A key's id, or a token's subject. */
  readonly id: string;
  readonly kind: 'api-key' | 'jwt';
  readonly scopes: readonly Scope[];
}

/**
 * What became of a credential. `unavailable`: nobody could say whether it is valid, because what knows it is away; that is
 * no reason to tell the client that its key is wrong.
 */
export type Verdict =
  | { readonly kind: 'known'; readonly principal: Principal }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'unavailable' };

/** Tells who somebody is. */
export interface Authenticator {
  /** @param token what followed `Bearer`. Never rejects. */
  verify(token: string): Promise<Verdict> | Verdict;
}

/** Whether these scopes include this one. */
export function allows(granted: readonly Scope[], scope: Scope): boolean {
  return granted.includes(scope) || granted.includes('admin');
}
