import { unref } from '@spillway/redis/core';
import type { StoreRequest } from '../store/store.ts';
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

const ID_LENGTH = 8;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The longest that a timer can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

// Random bytes for many ids at once: asking for eight at a time takes longer than the rest of a decision.
const pool = new Uint8Array(ID_LENGTH * 256);
let taken = pool.length;

/** An id for a holder: 48 random bits as 8 characters. */
export function slotId(): string {
  if (taken === pool.length) {
    crypto.getRandomValues(pool);
    taken = 0;
  }
  let id = '';
  for (const end = taken + ID_LENGTH; taken < end; taken += 1) id += ALPHABET[(pool[taken] ?? 0) & 63];
  return id;
}

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

/** The decision with the slot that the request got, unless the store gave it another; only an admitted request has one. */
export function withSlot(decision: Decision, request: StoreRequest | undefined): Decision {
  if (!decision.allowed || request?.slot === undefined || decision.slot !== undefined) return decision;
  return { ...decision, slot: request.slot };
}
