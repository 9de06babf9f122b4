import { type Authenticator, type Scope, scopes } from '../src/auth/principal.ts';

/** Knows three keys by heart, each named like the one scope that it has. */
export const fixedKeys: Authenticator = {
  verify: (token) => {
    const scope = scopes.find((one) => one === token);
    if (scope === undefined) return { kind: 'unknown' };
    return { kind: 'known', principal: { id: token, kind: 'api-key', scopes: [scope] } };
  },
};

/** The header that one of the fixed keys travels in. */
export function bearer(scope: Scope): { readonly Authorization: string } {
  return { Authorization: `Bearer ${scope}` };
}
