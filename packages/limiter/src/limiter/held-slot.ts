import { unref } from '@spillway/redis/core';
import type { Decision } from '../types.ts';

/** A slot that is held and kept alive until it is released. */
export interface Held {
  readonly decision: Decision;
  /** Gives the slot back. Doing it twice is the same as once. */
  release(): Promise<void>;
}

/** What {@link hold} does its work with. */
export interface SlotOperations {
  readonly renew: () => Promise<unknown>;
  readonly release: () => Promise<unknown>;
  readonly windowMs: number;
}

/** The longest that a timer can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Keeps a slot alive by renewing it three times in its time, so that a holder that dies loses it after `windowMs` and one
 * that lives never does. A renewal that fails is tried again with the next.
 */
export function hold(decision: Decision, { renew, release, windowMs }: SlotOperations): Held {
  const timer = setInterval(() => void renew().catch(() => undefined), Math.min(MAX_TIMER_MS, Math.ceil(windowMs / 3)));
  unref(timer);
  let released: Promise<unknown> | undefined;
  return {
    decision,
    async release() {
      clearInterval(timer);
      released ??= release();
      await released;
    },
  };
}
