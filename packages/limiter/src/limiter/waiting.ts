import { unref } from '@spillway/redis/core';
import { LimiterClosedError, LimiterWaitError } from '../errors.ts';
import type { Decision } from '../types.ts';

/** The longest that a timer can wait. */
export const MAX_TIMER_MS: number = 2 ** 31 - 1;

/** What one waiter needs. */
export interface Wait {
  /** Who waits for the same thing waits in turn. */
  readonly key: string;
  readonly maxWaitMs: number;
  readonly signal: AbortSignal | undefined;
  /** Asks for a decision. */
  readonly attempt: () => Promise<Decision>;
  /** Undoes an attempt that was admitted although its wait has ended by its signal. */
  readonly undo: (decision: Decision) => Promise<unknown>;
}

/** The waiters of a limiter. */
export interface Waiting {
  wait(wait: Wait): Promise<Decision>;
  /**
   * Every waiter rejects with {@link LimiterClosedError}: otherwise its timer would keep the process alive, and then ask a
   * store that is closed.
   */
  close(): void;
}

/** Shortest pause between two attempts: another process may have been faster each time. */
const SHORTEST_PAUSE_MS = 5;

/**
 * Makes `waitFor`: asks again when the last answer said that the request would fit. The waiters of one key in this process
 * are served in their order. A request that is not admitted within `maxWaitMs`, or can't be, is given up.
 */
export function waiting(): Waiting {
  const turns = new Map<string, Promise<unknown>>();
  const pauses = new Pauses();

  async function forget(key: string, ended: Promise<unknown>): Promise<void> {
    await ended;
    if (turns.get(key) === ended) turns.delete(key);
  }

  return {
    async wait(wait) {
      const until = performance.now() + wait.maxWaitMs;
      wait.signal?.throwIfAborted();
      const before = turns.get(wait.key);
      const mine = before === undefined ? attempts(wait, until, pauses) : inTurn(before, wait, until, pauses);
      // The next one waits for this one to end, however it ends, and for those before it.
      const ended = Promise.allSettled([before, mine]);
      turns.set(wait.key, ended);
      void forget(wait.key, ended);
      return mine;
    },
    close: () => pauses.close(),
  };
}

async function inTurn(before: Promise<unknown>, wait: Wait, until: number, pauses: Pauses): Promise<Decision> {
  await pauses.pause(until - performance.now(), wait.signal, before);
  if (performance.now() >= until) throw new LimiterWaitError(wait.maxWaitMs);
  return attempts(wait, until, pauses);
}

async function attempts(wait: Wait, until: number, pauses: Pauses): Promise<Decision> {
  for (;;) {
    const decision = await wait.attempt();
    if (decision.allowed && wait.signal?.aborted === true) void wait.undo(decision).catch(() => undefined);
    wait.signal?.throwIfAborted();
    if (decision.allowed) return decision;
    const pauseMs = Math.max(SHORTEST_PAUSE_MS, decision.retryAfterMs);
    if (performance.now() + pauseMs > until) throw new LimiterWaitError(wait.maxWaitMs, decision);
    await pauses.pause(pauseMs, wait.signal);
  }
}

/** The pauses of all waiters. A set and not one more signal: Node warns of a leak from the eleventh listener of a signal on. */
class Pauses {
  readonly #cuts = new Set<() => void>();
  #closed = false;

  /** Resolves after `ms` or when `early` does. @throws the signal's reason once it is aborted, and once all are closed. */
  pause(ms: number, signal: AbortSignal | undefined, early?: Promise<unknown>): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', aborted);
        this.#cuts.delete(cut);
        settle();
      };
      const aborted = (): void => end(() => reject(signal?.reason));
      const cut = (): void => end(() => reject(new LimiterClosedError()));
      const timer = setTimeout(() => end(resolve), Math.max(0, ms));
      signal?.addEventListener('abort', aborted, { once: true });
      this.#cuts.add(cut);
      void early?.then(() => end(resolve));
      if (this.#closed) cut();
    });
  }

  close(): void {
    this.#closed = true;
    for (const cut of this.#cuts) cut();
  }
}

/** A slot that is held and kept alive until it is released. */
export interface Held {
  readonly decision: Decision;
  /** Releases the slot. A second call does nothing. */
  release(): Promise<void>;
}

/** What {@link hold} does its work with. */
export interface SlotOperations {
  readonly renew: () => Promise<unknown>;
  readonly release: () => Promise<unknown>;
  readonly windowMs: number;
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
