import type { GuardOptions, Verdict } from './judge.ts';

type Pass = Extract<Verdict, { kind: 'pass' }>;

interface Charge {
  readonly options: Omit<GuardOptions, 'identify'>;
  readonly subject: string;
  readonly verdict: Pass;
}

const charges = new WeakMap<object, Charge[]>();

/**
 * The verdict on a request that the same guard, registered twice on its way, has charged already: the same limiter, policy,
 * action, cost and subject.
 * @param request the framework's own object for the request.
 */
export function chargedBefore(request: object, options: Charge['options'], subject: string): Pass | undefined {
  return charges.get(request)?.find((charge) => charge.subject === subject && sameCharge(charge.options, options))
    ?.verdict;
}

/** Remembers a charge while its request lives. */
export function rememberCharge(request: object, charge: Charge): void {
  const known = charges.get(request);
  if (known === undefined) charges.set(request, [charge]);
  else known.push(charge);
}

function sameCharge(one: Charge['options'], other: Charge['options']): boolean {
  return (
    one.limiter === other.limiter &&
    one.action === other.action &&
    (one.cost ?? 1) === (other.cost ?? 1) &&
    String(one.policy) === String(other.policy)
  );
}
