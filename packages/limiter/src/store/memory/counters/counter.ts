/**
 * What memory keeps of one subject under one policy: the twin of a file in lua/algorithms. Times are in ms since 1970 by
 * the store's clock. A counter never sees its time step back: {@link Counter.clamp} comes first.
 */
export interface Counter {
  /** The time to decide at: `now`, or later when the clock has stepped back. */
  clamp(now: number): number;
  /** Units that count at `at`. */
  used(at: number): number;
  /** Ms until nothing counts any more. */
  resetAfter(at: number): number;
  /** Ms until `cost` units fit, which at `at` they don't. */
  retryAfter(at: number, cost: number): number;
  add(at: number, cost: number, slot: string): void;
  /** Takes up to `cost` units back, the newest first; a slot as a whole. */
  take(at: number, cost: number, slot: string): void;
  /** Takes up to `cost` of the units back that were charged at that time. */
  takeFrom?(chargedAt: number, cost: number): void;
  /** Gives a slot its full time again, and says whether there was one. */
  renew?(at: number, slot: string): boolean;
}
