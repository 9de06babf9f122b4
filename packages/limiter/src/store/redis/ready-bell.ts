import { type Connection, connectionOf, type RedisClient, type RedisFault } from '@spillway/redis';

/**
 * Tells any number of listeners when the connection is ready again, over one listener of its own: fifty thousand requests in
 * an outage, or a Cluster's many shards, must not become as many listeners.
 */
export class ReadyBell {
  readonly #client: RedisClient;
  readonly #connection: Connection;
  readonly #listeners = new Set<() => void>();
  #listening = false;

  constructor(client: RedisClient) {
    this.#client = client;
    this.#connection = connectionOf(client);
  }

  get isReady(): boolean {
    return this.#client.status === 'ready';
  }

  /** Why the connection is not ready. */
  get fault(): RedisFault {
    return this.#connection.fault;
  }

  /** Somebody waits: a client that waits for its first command is connected. */
  wake(): void {
    this.#connection.wake();
  }

  /** Calls `listener` once, at the next `ready`. */
  next(listener: () => void): void {
    this.#listeners.add(listener);
    if (this.#listening) return;
    this.#listening = true;
    this.#client.once('ready', () => {
      this.#listening = false;
      const listeners = [...this.#listeners];
      this.#listeners.clear();
      for (const each of listeners) each();
    });
  }
}
