import type { RedisClient } from '@spillway/redis';

/** After an outage of so many deadlines nobody waits any more: the answer is known. */
const PATIENCE = 2;

/**
 * Whether Redis can be asked now. It is *away* while the connection is not ready, or while some work is late: sent, past
 * its deadline and not settled, as happens when Redis is frozen. It is back when the connection is ready and the late
 * work has settled, by a reply or by a connection that gave it up.
 */
export class Availability {
  readonly #client: RedisClient;
  readonly #patienceMs: number;
  readonly #waiting = new Set<() => void>();
  #late = 0;
  #awaySince: number | undefined;
  #listening = false;

  constructor(client: RedisClient, deadlineMs: number) {
    this.#client = client;
    this.#patienceMs = PATIENCE * deadlineMs;
  }

  get isAway(): boolean {
    return this.#late > 0 || this.#client.status !== 'ready';
  }

  /** While away: true once the outage is so old that waiting makes no sense. */
  isHopeless(): boolean {
    const now = performance.now();
    this.#awaySince ??= now;
    return now - this.#awaySince > this.#patienceMs;
  }

  /** Calls `start` when Redis is back. */
  wait(start: () => void): void {
    this.#waiting.add(start);
    this.#listen();
  }

  /** Undoes {@link wait}. */
  forget(start: () => void): void {
    this.#waiting.delete(start);
  }

  /** Some work that was sent is past its deadline. */
  lateBegins(): void {
    this.#late += 1;
  }

  /** It has settled. */
  lateEnds(): void {
    this.#late -= 1;
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
    for (const start of starts) start();
  }

  // One listener for all who wait: fifty thousand requests in an outage must not become as many listeners.
  #listen(): void {
    if (this.#listening || this.#client.status === 'ready') return;
    this.#listening = true;
    this.#client.once('ready', () => {
      this.#listening = false;
      this.#recheck();
    });
  }
}
