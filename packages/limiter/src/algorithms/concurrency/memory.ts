import type { Counter, PolicyBase } from '../algorithm.ts';

/** Slots with an end. */
export function concurrency(policy: () => PolicyBase): Counter {
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
    // Slots are held, not used: nobody's usage.
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
