/*
 * Timeouts for very many calls. Nearly none ever fires, so what counts is how cheap it is to set one and to drop it.
 *
 * All calls of one length stand in one array, in no order: adding is a push, dropping moves the last into the gap. A
 * coarse interval walks over those under way. Reading a clock for each call would cost more than all the rest: instead a
 * call's time begins with the first tick that sees it. So it never expires early, and late by two ticks at most.
 */

import { isCloudflareWorker } from '@spillway/redis/core';

/** Something that waits. Only {@link Deadlines} touches `index` and `since`. */
export interface Expiring {
  /** Where it stands; -1 when it doesn't (any more). */
  index: number;
  /** When the first tick saw it, in ms of the monotonic clock; 0 = none did yet. */
  since: number;
  /** Called once when time is up, unless it was removed. Must not throw. */
  expire(timeoutMs: number): void;
}

const TICKS = 32;
const MAX_TICK_MS = 100;

/** All waiting calls of one length. */
export class Deadlines {
  readonly timeoutMs: number;
  private readonly waiting: Expiring[] = [];
  private readonly onIdle: () => void;
  private timer: NodeJS.Timeout | undefined = undefined;
  private startedWith: typeof setInterval | undefined = undefined;

  /** @param onIdle called when nothing waits any more and the interval was stopped */
  constructor(timeoutMs: number, onIdle: () => void) {
    this.timeoutMs = timeoutMs;
    this.onIdle = onIdle;
  }

  /** From now on `entry` expires unless it is removed. */
  add(entry: Expiring): void {
    // A test that swaps the timers takes a running interval away; the next call restarts it.
    if (this.startedWith !== setInterval) this.start();
    entry.index = this.waiting.length;
    this.waiting.push(entry);
  }

  /** Does nothing to one that doesn't wait (any more). */
  remove(entry: Expiring): void {
    const { index } = entry;
    if (index === -1) return;
    entry.index = -1;
    const last = this.waiting.pop();
    if (last === entry || last === undefined) return;
    this.waiting[index] = last;
    last.index = index;
  }

  private start(): void {
    clearInterval(this.timer);
    const tickMs = Math.max(1, Math.min(MAX_TICK_MS, Math.floor(this.timeoutMs / TICKS)));
    this.startedWith = setInterval;
    this.timer = setInterval(() => this.tick(), tickMs);
  }

  private tick(): void {
    if (this.waiting.length === 0) {
      this.stop();
      return;
    }
    // Whole ms, which the engine keeps without allocating; up, for the time must never begin too early.
    const now = Math.ceil(performance.now());
    const due: Expiring[] = [];
    for (const entry of this.waiting) {
      if (entry.since === 0) entry.since = now;
      else if (now - 1 - entry.since >= this.timeoutMs) due.push(entry);
    }
    for (const entry of due) {
      // One that expired before may have ended others: all get the same abort.
      if (entry.index === -1) continue;
      this.remove(entry);
      entry.expire(this.timeoutMs);
    }
  }

  private stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.startedWith = undefined;
    this.onIdle();
  }
}

const byLength = new Map<number, Deadlines>();

/**
 * The array for calls of this length; on Cloudflare Workers one for each call, since its interval ends with the request. Those in which nothing waits are let go, so odd lengths don't pile up.
 */
export function deadlinesOf(timeoutMs: number): Deadlines {
  if (isCloudflareWorker) return new Deadlines(timeoutMs, () => undefined);
  const found = byLength.get(timeoutMs);
  if (found !== undefined) return found;
  const made = new Deadlines(timeoutMs, () => {
    if (byLength.get(timeoutMs) === made) byLength.delete(timeoutMs);
  });
  byLength.set(timeoutMs, made);
  return made;
}

/** Something that ends when its caller aborts. */
export interface Abortable {
  /** Called once, with the signal's reason. Must not throw. */
  abort(reason: unknown): void;
}

interface Listeners {
  readonly waiting: Set<Abortable>;
  readonly onAbort: () => void;
}

const bySignal = new WeakMap<AbortSignal, Listeners>();

/**
 * Ends `call` when `signal` aborts. A signal may live as long as its process and have thousands of calls under way: it
 * gets one listener for all of them, and none when there are none.
 */
export function followSignal(signal: AbortSignal, call: Abortable): void {
  let listeners = bySignal.get(signal);
  if (listeners === undefined) {
    listeners = listenersOf(signal);
    bySignal.set(signal, listeners);
  }
  if (listeners.waiting.size === 0) signal.addEventListener('abort', listeners.onAbort);
  listeners.waiting.add(call);
}

/** The call is over: removes the listener from the signal. */
export function unfollowSignal(signal: AbortSignal, call: Abortable): void {
  const listeners = bySignal.get(signal);
  if (listeners?.waiting.delete(call) !== true) return;
  if (listeners.waiting.size === 0) signal.removeEventListener('abort', listeners.onAbort);
}

function listenersOf(signal: AbortSignal): Listeners {
  const waiting = new Set<Abortable>();
  const onAbort = (): void => {
    const calls = [...waiting];
    waiting.clear();
    signal.removeEventListener('abort', onAbort);
    for (const call of calls) call.abort(signal.reason);
  };
  return { waiting, onAbort };
}
