import type { Algorithm } from '../../../types.ts';

/** Units that were charged at a time, as another algorithm takes them over. */
export interface Charge {
  /** Ms since 1970. */
  readonly at: number;
  readonly units: number;
}

/**
 * What memory keeps of one subject under one policy: the twin of a folder in algorithms. Times are in ms since 1970 by
 * the store's clock. A counter never sees its time step back: {@link Counter.clamp} comes first.
 */
export interface Counter {
  readonly algorithm: Algorithm;
  /** The time to decide at: `now`, or later when the clock has stepped back. */
  clamp(now: number): number;
  /** Units that count at `at`. */
  used(at: number): number;
  /** Ms until nothing counts any more. */
  resetAfter(at: number): number;
  /** Ms until `cost` units fit, which at `at` they don't. */
  retryAfter(at: number, cost: number): number;
  /** `blocked`: a block runs. */
  add(at: number, cost: number, slot: string, blocked: boolean): void;
  /**
   * Takes up to `cost` units back: the oldest, where it knows which they are, so that none leaves the window before its
   * time; a slot as a whole.
   */
  take(at: number, cost: number, slot: string): void;
  /** Takes up to `cost` of the units back that were charged at that time. */
  takeFrom?(chargedAt: number, cost: number): void;
  /** Gives a slot its full time again, and says whether there was one. */
  renew?(at: number, slot: string): boolean;
  /** Keeps what a changed policy made of the counts, as a request does that is not only a look. */
  settle?(at: number): void;
  /** What has been counted, oldest first, for another algorithm. */
  charges(now: number): readonly Charge[];
}

/** Those charges that a window which ends at the last of them, or now, holds. */
export function within(charges: readonly Charge[], windowMs: number, now: number): readonly Charge[] {
  const cutoff = Math.max(now, charges.at(-1)?.at ?? now) - windowMs;
  return charges.filter(({ at }) => at > cutoff);
}
