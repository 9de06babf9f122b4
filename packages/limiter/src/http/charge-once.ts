/** What of a guard's options tells two charges apart. */
interface ChargingOptions {
  readonly limiter: object;
  readonly policy: string | readonly string[];
  readonly action?: string;
  readonly cost?: number;
}

interface Charge {
  readonly options: ChargingOptions;
  readonly subject: string;
}

const CHARGES: unique symbol = Symbol('spillway.charges');

/** A framework's own object for a request. The charges are kept on it: a WeakMap costs as much as the rest of a guard. */
export interface ChargedRequest {
  [CHARGES]?: readonly Charge[];
}

/**
 * Whether the same guard, registered twice on a request's way, has charged it already: the same limiter, policy,
 * action, cost and subject.
 */
export function chargedBefore(request: ChargedRequest, options: ChargingOptions, subject: string): boolean {
  const known = request[CHARGES];
  if (known === undefined) return false;
  return known.some((charge) => charge.subject === subject && sameCharge(charge.options, options));
}

/** Remembers a charge while its request lives. */
export function rememberCharge(request: ChargedRequest, charge: Charge): void {
  const known = request[CHARGES];
  request[CHARGES] = known === undefined ? [charge] : [...known, charge];
}

function sameCharge(one: ChargingOptions, other: ChargingOptions): boolean {
  return (
    one.limiter === other.limiter &&
    one.action === other.action &&
    (one.cost ?? 1) === (other.cost ?? 1) &&
    String(one.policy) === String(other.policy)
  );
}
