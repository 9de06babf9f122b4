import { capacityOf, type ChangingPolicy, type Charge, type Counter } from '../algorithm.ts';

/**
 * A level that leaks, in units times window. It is scaled when a live change makes the window another.
 */
export function tokenBucket(
  policy: () => ChangingPolicy<{ readonly burst: number }>,
  charges: readonly Charge[],
): Counter {
  const capacity = (): number => capacityOf(policy());
  let level = 0;
  let updatedAt = -Infinity;
  let scaledBy = 0;
  const scaled = (): number =>
    level === 0 || scaledBy === policy().windowMs ? level : Math.ceil((level / scaledBy) * policy().windowMs);
  const levelAt = (at: number): number => (level === 0 ? 0 : Math.max(0, scaled() - (at - updatedAt) * policy().limit));
  const write = (at: number, next: number): void => {
    level = next;
    scaledBy = policy().windowMs;
    updatedAt = at;
  };
  const { windowMs } = policy();
  const last = charges.at(-1)?.at ?? 0;
  for (const { at, units } of charges.filter((charge) => charge.at > last - windowMs)) {
    write(at, Math.min(levelAt(at) + units * windowMs, 2 * capacity() * windowMs));
  }
  const used = (at: number): number => Math.ceil(levelAt(at) / policy().windowMs);
  return {
    algorithm: 'token-bucket',
    clamp: (at) => Math.max(at, updatedAt),
    used,
    resetAfter: (at) => Math.ceil(levelAt(at) / policy().limit),
    retryAfter: (at, cost) => Math.ceil((levelAt(at) + (cost - capacity()) * policy().windowMs) / policy().limit),
    add: (at, cost) => write(at, levelAt(at) + cost * policy().windowMs),
    take: (at, cost) => write(at, Math.max(0, levelAt(at) - cost * policy().windowMs)),
    charges: () => (level > 0 ? [{ at: updatedAt, units: Math.ceil(level / scaledBy) }] : []),
  };
}
