import { type AlgorithmSpec, type Counter, MAX_LOG_LIMIT, type PolicyBase, type WindowOption } from '../algorithm.ts';

/*
 * Concurrency
 *
 * Slots that are held until they are released or their time is up. The limit is how many may be held at once, the window how long a slot
 * lasts without being renewed: a holder that dies loses its slots after that. One holder may have several.
 */

/** Bytes of a slot's id. */
const SLOT_BYTES = 8;

/** The rule of a policy that limits how many go on at once. */
export interface ConcurrencyRule {
  readonly algorithm: 'concurrency';
}

/** Limits how many go on at once. */
export interface ConcurrencyOptions extends WindowOption {
  readonly algorithm: 'concurrency';
}

/** Slots that are held for a time. */
export const concurrency: AlgorithmSpec<ConcurrencyRule> = {
  name: 'concurrency',
  options: [],
  refuses: { blockMs: 'must be 0: a policy of slots does not block' },
  maxLimit: MAX_LOG_LIMIT,
  holdsSlots: true,
  sentAlike: true,
  rule: () => ({ algorithm: 'concurrency' }),
  parameter: () => 0,
  text: (_policy, { slot }) => slot ?? ' '.repeat(SLOT_BYTES),
  counter,
};

/** Slots with an end. */
function counter(policy: () => PolicyBase): Counter {
  let slots: { holder: string; ends: number }[] = [];
  let updatedAt = -Infinity;
  const live = (at: number): typeof slots =>
    slots.filter(({ ends }) => ends > at).toSorted((one, other) => one.ends - other.ends);
  const write = (at: number, next: typeof slots): void => {
    slots = next;
    updatedAt = at;
  };
  return {
    algorithm: 'concurrency',
    // Slots are held, not used up: they count as no usage.
    charges: () => [],
    clamp: (now) => Math.max(now, updatedAt),
    used: (at) => live(at).length,
    resetAfter: (at) => (live(at).at(-1)?.ends ?? at) - at,
    retryAfter: (at, cost) => {
      const held = live(at);
      return (held[held.length + cost - policy().limit - 1]?.ends ?? at) - at;
    },
    add(at, cost, slot) {
      const added = Array.from({ length: cost }, () => ({ holder: slot, ends: at + policy().windowMs }));
      write(at, [...live(at), ...added]);
    },
    take: (at, _cost, slot) =>
      write(
        at,
        live(at).filter(({ holder }) => holder !== slot),
      ),
    renew(at, slot) {
      const held = live(at);
      write(
        at,
        held.map((one) => (one.holder === slot ? { ...one, ends: at + policy().windowMs } : one)),
      );
      return held.some(({ holder }) => holder === slot);
    },
  };
}
