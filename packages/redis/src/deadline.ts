import { Availability, Readiness, type Startable } from './availability.ts';
import type { RedisClient } from './client.ts';
import { faultOf, isReplyError, type RedisFault, redisFault } from './fault.ts';

/**
 * Redis did not do the work. `wasSent`: whether it may have run all the same. `error` is what the work was rejected with, if
 * it was.
 */
export type OnFailure = (fault: RedisFault, wasSent: boolean, error?: unknown) => void;

/** Bounds the time of requests to Redis, and sends none while Redis doesn't answer. */
export interface Deadline {
  /**
   * Runs `work` once Redis can take it. Exactly one of the two callbacks is called, once, at most `deadlineMs` (and a
   * turn of the event loop) after `startedAt`, a time of `performance.now()` (by default now). What the work does after
   * that is ignored.
   */
  run<Reply>(
    work: () => Promise<Reply>,
    onReply: (reply: Reply) => void,
    onFailure: OnFailure,
    startedAt?: number,
  ): void;
}

/**
 * Makes a {@link Deadline} for each key over one connection. In a Cluster each shard has its own, so that a frozen master
 * keeps only its own shards' work waiting.
 */
export function deadlines(client: RedisClient, deadlineMs: number): (key: string) => Deadline {
  const readiness = new Readiness(client);
  const queue = new ExpiryQueue();
  if (client.isCluster !== true) {
    const only = deadline(readiness, queue, deadlineMs);
    return () => only;
  }
  const byTag = new Map<string, Deadline>();
  return (key) => {
    const tag = key.slice(0, key.indexOf('}'));
    const known = byTag.get(tag);
    if (known !== undefined) return known;
    const made = deadline(readiness, queue, deadlineMs);
    byTag.set(tag, made);
    return made;
  };
}

/**
 * Makes a {@link Deadline}. Work that comes while Redis is away is not sent, so that an outage piles up neither commands in
 * memory nor decisions that Redis would carry out long after. It waits within its deadline; once the outage is old it
 * fails at once.
 */
function deadline(readiness: Readiness, queue: ExpiryQueue, deadlineMs: number): Deadline {
  const availability = new Availability(readiness, deadlineMs);
  return {
    run(work, onReply, onFailure, startedAt = performance.now()) {
      const mustWait = availability.isAway && !availability.tryBecomeProbe();
      if (mustWait && availability.isLongOutage()) {
        onFailure(availability.fault, false);
        return;
      }
      const piece = new PendingWork(availability, queue, startedAt + deadlineMs, { work, onReply, onFailure });
      if (mustWait) availability.wait(piece);
      else piece.start();
      // Last, since Redis may be at work by now: nothing can have been answered yet.
      queue.add(piece);
    },
  };
}

interface Callbacks<Reply> {
  readonly work: () => Promise<Reply>;
  readonly onReply: (reply: Reply) => void;
  readonly onFailure: OnFailure;
}

/**
 * One piece of work on its way: *waiting* for Redis, then *sent*, then *done*; or *late*, when its time is up before its
 * answer, until that comes or is lost.
 */
class PendingWork<Reply> implements Expiring, Startable {
  before: Expiring | undefined = undefined;
  after: Expiring | undefined = undefined;
  readonly expiresAtMs: number;
  readonly #availability: Availability;
  readonly #queue: ExpiryQueue;
  readonly #callbacks: Callbacks<Reply>;
  #state: 'waiting' | 'sent' | 'late' | 'done' = 'waiting';

  constructor(availability: Availability, queue: ExpiryQueue, expiresAtMs: number, callbacks: Callbacks<Reply>) {
    this.#availability = availability;
    this.#queue = queue;
    this.expiresAtMs = expiresAtMs;
    this.#callbacks = callbacks;
  }

  start(): void {
    this.#state = 'sent';
    const { work, onReply, onFailure } = this.#callbacks;
    let sent: Promise<Reply>;
    try {
      sent = work();
    } catch (error) {
      this.#unsent(error);
      return;
    }
    sent.then(
      (reply) => (this.#settle(true) ? onReply(reply) : undefined),
      (error: unknown) => (this.#settle(isReplyError(error)) ? onFailure(redisFault(error), true, error) : undefined),
    );
  }

  /** It could not be encoded. Reported in another turn, since the caller has not got control back yet. */
  #unsent(error: unknown): void {
    this.#availability.unsent();
    queueMicrotask(() => {
      if (this.#state !== 'sent') return;
      this.#state = 'done';
      this.#queue.remove(this);
      this.#callbacks.onFailure(redisFault(error), false, error);
    });
  }

  expire(): void {
    if (this.#state === 'waiting') {
      this.#state = 'done';
      this.#availability.forget(this);
      this.#callbacks.onFailure(this.#availability.fault, false);
      return;
    }
    this.#state = 'late';
    this.#availability.markLate();
    this.#callbacks.onFailure(faultOf('no_answer'), true);
  }

  /** True if a caller still waits for the outcome. */
  #settle(answered: boolean): boolean {
    const wasLate = this.#state === 'late';
    this.#state = 'done';
    if (!wasLate) this.#queue.remove(this);
    this.#availability.settled(wasLate, answered);
    return !wasLate;
  }
}

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
