import type { RedisClient } from './client.ts';
import { faultOf, type RedisFault, redisFault } from './fault.ts';

/** A connection that can't write is left for a new one at most so often, in ms. */
const LEAVE_EVERY_MS = 1_000;

/** What Spillway knows of a client beyond its status, and does for it. One for each client: see {@link connectionOf}. */
export interface Connection {
  /** Opens the connection of a client with `lazyConnect` that has not been used. */
  wake(): void;
  /** Why the client is not ready. */
  readonly fault: RedisFault;
  /**
   * Hears of an error that a command was rejected with. A connection to a server that can't write is left and made anew: a
   * name that led to a demoted master may lead to its successor by now.
   */
  rejected(error: unknown): RedisFault;
}

const connections = new WeakMap<object, Connection>();

/**
 * The {@link Connection} of a client. It listens to the client's errors with one listener, for as long as the client
 * lives and however many limiters and breakers use it; so ioredis doesn't print them.
 */
export function connectionOf(client: RedisClient): Connection {
  const known = connections.get(client);
  if (known !== undefined) return known;
  const made = connect(client);
  connections.set(client, made);
  return made;
}

function connect(client: RedisClient): Connection {
  let last: RedisFault | undefined;
  let leftAtMs = -Infinity;
  client.on('error', (error) => {
    const fault = redisFault(error);
    // That a connection ended says less than why it could not be made.
    if (fault.code !== 'connection_lost') last = fault;
  });
  client.on('ready', () => (last = undefined));

  return {
    wake() {
      if (client.status === 'wait') client.connect?.().catch(() => undefined);
    },
    get fault() {
      if (client.status === 'end') return faultOf('client_ended');
      return last ?? faultOf('not_connected');
    },
    rejected(error) {
      const fault = redisFault(error);
      if (fault.code !== 'read_only' || client.status !== 'ready') return fault;
      const now = performance.now();
      if (now - leftAtMs < LEAVE_EVERY_MS) return fault;
      leftAtMs = now;
      client.disconnect(true);
      return fault;
    },
  };
}
