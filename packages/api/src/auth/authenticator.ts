import type { Authenticator } from './principal.ts';

/** Keys begin with `sw_`, and everything else that looks like a JWT goes to the issuer's rules, if there is an issuer. */
export function authenticator(keys: Authenticator, jwt?: Authenticator): Authenticator {
  return {
    verify: (token) =>
      jwt !== undefined && /^[\w-]+\.[\w-]+\.[\w-]+$/u.test(token) ? jwt.verify(token) : keys.verify(token),
  };
}
