import { isReady, listenTo, type RedisClient } from './client.ts';
import { type Connection, connectionOf } from './connection.ts';
import { faultOf, type RedisFault } from './fault.ts';

/** After an outage of this many deadlines work is no longer queued: it fails at once. */
const PATIENCE = 2;

/** Work that waits for Redis. */
export interface Startable {
  start(): void;
}

/**
 * Whether Redis, or in a Cluster the master of one shard, can be asked now. It is *away*
 *
 * - while the connection is not ready;
 * - while some work is late: sent, past its deadline and not settled, as happens when Redis is frozen;
 * - after work was lost without a reply, with the connection that carried it, until something is answered. A Cluster
 *   client stays ready whatever becomes of one master, and would get all work again each time a connection to a dead
 *   one ends. So one piece of work at a time, the *probe*, goes first.
 *
 * A reply ends it, also a late one, and so does a connection that becomes ready, since Redis has answered its handshake.
 */
export class Availability {
  readonly #readiness: Readiness;
  readonly #patienceMs: number;
  readonly #waiting = new Set<Startable>();
  #late = 0;
  #unconfirmed = false;
  #probing = false;
  #awaySince: number | undefined;

  constructor(readiness: Readiness, deadlineMs: number) {
    this.#readiness = readiness;
    this.#patienceMs = PATIENCE * deadlineMs;
  }

  get isAway(): boolean {
    return this.#late > 0 || this.#unconfirmed || !this.#readiness.isReady;
  }

  /** While away: why. */
  get fault(): RedisFault {
    if (!this.#readiness.isReady) return this.#readiness.fault;
    return faultOf(this.#late > 0 ? 'no_answer' : 'connection_lost');
  }

  /** While away: true once the outage is so old that waiting makes no sense. */
  isLongOutage(): boolean {
    const now = performance.now();
    this.#awaySince ??= now;
    return now - this.#awaySince > this.#patienceMs;
  }

  /** While away: true when the caller's work is to be sent, as the probe. */
  tryBecomeProbe(): boolean {
    if (this.#probing || this.#late > 0 || !this.#readiness.isReady) return false;
    this.#probing = true;
    return true;
  }

  /** Starts it when Redis is back. */
  wait(work: Startable): void {
    this.#waiting.add(work);
    this.#readiness.wake();
    this.#listen();
  }

  /** Undoes {@link wait}. */
  forget(work: Startable): void {
    this.#waiting.delete(work);
  }

  /** Some work that was sent is past its deadline. */
  markLate(): void {
    this.#late += 1;
    this.#probing = false;
  }

  /** Some work could not be sent, which says nothing of Redis. */
  unsent(): void {
    this.#probing = false;
  }

  /** Some work has settled: Redis answered, or the answer was lost. */
  settled(wasLate: boolean, answered: boolean): void {
    if (wasLate) this.#late -= 1;
    else if (answered && !this.#unconfirmed) return;
    this.#probing = false;
    this.#unconfirmed = !answered;
    this.#recheck();
  }

  #recheck(): void {
    if (this.isAway) {
      this.#listen();
      return;
    }
    this.#awaySince = undefined;
    const starts = [...this.#waiting];
    this.#waiting.clear();
    for (const work of starts) work.start();
  }

  #listen(): void {
    if (this.#readiness.isReady) return;
    this.#readiness.next(() => {
      this.#unconfirmed = false;
      this.#recheck();
    });
  }
}

/**
 * Whether the connection is ready, and what waits for it: any number of listeners over one listener of the client. Fifty thousand
 * requests in an outage, or the shards of a Cluster, must not become as many listeners of the client.
 */
export class Readiness {
  readonly #client: RedisClient;
  readonly #connection: Connection;
  readonly #listeners = new Set<() => void>();
  #listening = false;

  constructor(client: RedisClient) {
    this.#client = client;
    this.#connection = connectionOf(client);
  }

  get isReady(): boolean {
    return isReady(this.#client);
  }

  /** Why the connection is not ready. */
  get fault(): RedisFault {
    return this.#connection.fault;
  }

  /** Connects a client that waits for its first command. */
  wake(): void {
    this.#connection.wake();
  }

  /** Calls `listener` once, at the next `ready`. */
  next(listener: () => void): void {
    this.#listeners.add(listener);
    if (this.#listening) return;
    this.#listening = true;
    const stop = listenTo(this.#client, 'ready', () => {
      stop();
      this.#listening = false;
      const listeners = [...this.#listeners];
      this.#listeners.clear();
      for (const each of listeners) each();
    });
  }
}
