import type { Policy } from '../algorithms/registry.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { hold } from '../limiter/waiting.ts';
import type { Decision } from '../types.ts';

/** Whose slots they are. */
export interface SlotHolder {
  readonly limiter: Limiter;
  readonly subject: string;
  readonly action: string | undefined;
}

/** The slots that a request holds under `concurrency` policies. */
export interface Slots {
  /** Renews them until the function that it answers with gives them back, once. */
  keep(): () => void;
  /** Gives them back. */
  release(): void;
}

/** The slots of a decision; undefined when it has none. One that can't be given back ends after its policy's `windowMs`. */
export function slotsOf(
  { limiter, subject, action }: SlotHolder,
  decision: Decision | readonly Decision[],
  policies: Policy | readonly Policy[],
): Slots | undefined {
  if ('policy' in decision && decision.slot === undefined) return undefined;
  const held = ('policy' in decision ? [decision] : decision).filter(({ slot }) => slot !== undefined);
  if (held.length === 0) return undefined;
  const options = action === undefined ? {} : { action };
  const giveBack = async ({ policy, slot = '' }: Decision): Promise<void> =>
    limiter.release(policy, subject, slot, options);
  return {
    release() {
      for (const each of held) void giveBack(each).catch(() => undefined);
    },
    keep() {
      const kept = held.map((each) => {
        const { policy, slot = '' } = each;
        const { windowMs = 60_000 } = [policies].flat().find(({ name }) => name === policy) ?? {};
        const renew = async (): Promise<void> => limiter.renew(policy, subject, slot, options);
        return hold(each, { windowMs, renew, release: async () => giveBack(each) });
      });
      return () => {
        for (const each of kept) void each.release().catch(() => undefined);
      };
    },
  };
}

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
