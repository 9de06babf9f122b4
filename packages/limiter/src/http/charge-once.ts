import type { GuardOptions, Verdict } from './judge.ts';

type Pass = Extract<Verdict, { kind: 'pass' }>;

interface Charge {
  readonly options: Omit<GuardOptions, 'identify'>;
  readonly subject: string;
  readonly verdict: Pass;
}

const CHARGES: unique symbol = Symbol('spillway.charges');

/** A framework's own object for a request. The charges are kept on it: a WeakMap costs as much as the rest of a guard. */
export interface ChargedRequest {
  [CHARGES]?: readonly Charge[];
}

/**
 * The verdict on a request that the same guard, registered twice on its way, has charged already: the same limiter, policy,
 * action, cost and subject.
 */
export function chargedBefore(request: ChargedRequest, options: Charge['options'], subject: string): Pass | undefined {
  const known = request[CHARGES];
  if (known === undefined) return undefined;
  return known.find((charge) => charge.subject === subject && sameCharge(charge.options, options))?.verdict;
}

/** Remembers a charge while its request lives. */
export function rememberCharge(request: ChargedRequest, charge: Charge): void {
  const known = request[CHARGES];
  request[CHARGES] = known === undefined ? [charge] : [...known, charge];
}

function sameCharge(one: Charge['options'], other: Charge['options']): boolean {
  return (
    one.limiter === other.limiter &&
    one.action === other.action &&
    (one.cost ?? 1) === (other.cost ?? 1) &&
    String(one.policy) === String(other.policy)
  );
}
