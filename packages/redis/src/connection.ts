import type { RedisClient } from './client.ts';
import { faultOf, type RedisFault, redisFault } from './fault.ts';
import { warn } from './platform.ts';

/** A connection that can't write is left for a new one at most so often, in ms. */
const LEAVE_EVERY_MS = 1_000;

/** What Spillway knows of a client beyond its status, and does for it. One for each client: see {@link connectionOf}. */
export interface Connection {
  /**
   * Listens to the client's errors, which say why there is no connection, until the returned function is called. ioredis
   * then doesn't print them. The client has one listener for all that watch it.
   */
  watch(): () => void;
  /** Opens the connection of a client with `lazyConnect` that has not been used. */
  wake(): void;
  /** Why the client is not ready. */
  readonly fault: RedisFault;
  /**
   * Takes the error that a command was rejected with. A connection to a server that can't write is closed and reopened: a
   * name that led to a demoted master may lead to its successor by now.
   */
  rejected(error: unknown): RedisFault;
}

/** A client of node-redis connects when its owner says so. */
const NOT_CALLED = faultOf('not_connected', 'connect() of the client was not called');

const connections = new WeakMap<object, Connection>();

/** The {@link Connection} of a client, the same for all limiters and breakers that use it. */
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
  let watchers = 0;
  let warned = false;

  function onError(error: unknown): void {
    const fault = redisFault(error);
    // That a connection ended says less than why it could not be made.
    if (fault.code !== 'connection_lost') last = fault;
  }

  function onReady(): void {
    if (last?.code === 'database_refused' && !warned) {
      warned = true;
      warn(`${last.message}. The commands of this client go to database 0`);
    }
    last = undefined;
  }

  return {
    watch() {
      let watching = true;
      watchers += 1;
      if (watchers === 1) {
        client.on('error', onError);
        client.on('ready', onReady);
      }
      return () => {
        if (!watching) return;
        watching = false;
        watchers -= 1;
        if (watchers > 0) return;
        client.off('error', onError);
        client.off('ready', onReady);
      };
    },
    wake() {
      if (client.status === 'wait') client.connect?.().catch(() => undefined);
    },
    get fault() {
      if (client.status === 'end') return faultOf('client_ended');
      if (last !== undefined) return last;
      return client.status === 'wait' && client.connect === undefined ? NOT_CALLED : faultOf('not_connected');
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
