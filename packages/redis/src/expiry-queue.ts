/** Something that ends by itself unless it is taken out of its {@link ExpiryQueue} before. */
export interface Expiring {
  /** By `performance.now()`. */
  expiresAtMs: number;
  expire(): void;
  /** Neighbours in the queue; the queue's own business. */
  before: Expiring | undefined;
  after: Expiring | undefined;
}

/** Longest time between two checks of the timer, and so the longest that it keeps an idle process alive. */
const LONGEST_LOOK_MS = 100;

/**
 * One timer for all work of one connection. A timer of its own for each piece of work costs more than sending it, and nearly
 * none of them ever fires. Since all work has the same time limit, what began first expires first: a list in that order,
 * whose head the timer waits for. Taking work out leaves the timer alone.
 */
export class ExpiryQueue {
  #head: Expiring | undefined;
  #tail: Expiring | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires. */
  #looksAtMs = Number.POSITIVE_INFINITY;

  add(one: Expiring): void {
    let before = this.#tail;
    // Work that is sent a second time keeps its first time limit.
    while (before !== undefined && before.expiresAtMs > one.expiresAtMs) before = before.before;
    one.before = before;
    one.after = before === undefined ? this.#head : before.after;
    if (one.before === undefined) this.#head = one;
    else one.before.after = one;
    if (one.after === undefined) this.#tail = one;
    else one.after.before = one;
    if (one.expiresAtMs < this.#looksAtMs) this.#look(one.expiresAtMs);
  }

  remove(one: Expiring): void {
    if (one.before === undefined) this.#head = one.after;
    else one.before.after = one.after;
    if (one.after === undefined) this.#tail = one.before;
    else one.after.before = one.before;
    one.before = undefined;
    one.after = undefined;
  }

  #look(atMs: number): void {
    clearTimeout(this.#timer);
    const nowMs = performance.now();
    const inMs = Math.min(LONGEST_LOOK_MS, Math.max(1, Math.ceil(atMs - nowMs)));
    this.#looksAtMs = nowMs + inMs;
    // Timers run before sockets are read: after a blocked event loop a reply may be there already, so it gets one turn to be
    // seen before the time counts as up.
    this.#timer = setTimeout(() => {
      const upToMs = performance.now();
      setImmediate(() => this.#expire(upToMs));
    }, inMs);
  }

  #expire(upToMs: number): void {
    this.#looksAtMs = Number.POSITIVE_INFINITY;
    for (let one = this.#head; one !== undefined && one.expiresAtMs <= upToMs; one = this.#head) {
      this.remove(one);
      one.expire();
    }
    if (this.#head !== undefined) this.#look(this.#head.expiresAtMs);
  }
}
