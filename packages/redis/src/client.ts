/** What a client does with a command: it writes the command to a connection, and settles its promise. */
export interface RedisCommand {
  readonly name: string;
  readonly promise: Promise<unknown>;
  resolve: (reply: unknown) => unknown;
  reject: (error: Error) => unknown;
}

/**
 * What Spillway needs of a Redis connection. `Redis` and `Cluster` of ioredis and iovalkey fit as they are, so a decision
 * is written without a wrapper; the clients of other libraries are wrapped (see `readRedisOption`).
 */
export interface RedisClient {
  /**
   * `ready` when a command would be written to the socket at once; anything else means that it would wait or fail. `wait`: it
   * was never connected; `end`: its owner ended it.
   */
  readonly status: string;
  /** True for a Redis Cluster client: one script may then touch only one hash slot. */
  readonly isCluster?: boolean;
  readonly options?: {
    readonly db?: number | undefined;
    readonly keyPrefix?: string | Buffer | undefined;
    readonly redisOptions?: { readonly keyPrefix?: string | Buffer | undefined } | undefined;
  };
  /** Of an open connection: the database that was selected. */
  readonly condition?: { readonly select?: number | undefined } | null;
  /** Sends a command and settles its `promise`. It is written at most once, even if the connection is lost. */
  sendCommand(command: RedisCommand): unknown;
  /** Opens the connection of a client that waits for its first command (`lazyConnect`). */
  connect?(): Promise<unknown>;
  /** @param reconnect whether to connect again */
  disconnect(reconnect?: boolean): void;
  on(event: 'ready', listener: () => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  once(event: 'ready', listener: () => void): unknown;
  off(event: 'ready', listener: () => void): unknown;
  off(event: 'error', listener: (error: unknown) => void): unknown;
}

/**
 * Whether a command may be written now: the client is connected, and its owner has not told it to quit. A client of ioredis
 * stays `ready` until the server has closed the connection. A server that closes while a command sent after QUIT is unread
 * resets the connection: the reply to QUIT is lost, and the owner's `quit()` rejects.
 */
export function isReady(client: Pick<RedisClient, 'status'>): boolean {
  return client.status === 'ready' && !('manuallyClosing' in client && client.manuallyClosing === true);
}

/** A client's events, as far as {@link listenTo} needs them. */
interface Emits<Event extends string> {
  on(event: Event, listener: () => void): unknown;
  off(event: Event, listener: () => void): unknown;
}

/** Those who listen to one event of a client, and its one listener. */
interface Listening {
  readonly listeners: Set<() => void>;
  readonly hear: () => void;
}

const listening = new WeakMap<object, Map<string, Listening>>();

/**
 * Calls `listener` at each such event of a client, until what it returns is called. However many listen, the client has one
 * listener of ours: of an eleventh Node warns as of a leak, and a few limiters and breakers that share a client come to that.
 */
export function listenTo<Event extends 'ready' | 'end'>(
  client: Emits<Event>,
  event: Event,
  listener: () => void,
): () => void {
  const events = listening.get(client) ?? new Map<string, Listening>();
  listening.set(client, events);
  const { listeners, hear } = events.get(event) ?? listenOnce(client, event, events);
  // Its own function each time, since one listener may be given twice.
  const own = (): void => listener();
  listeners.add(own);
  return () => {
    listeners.delete(own);
    if (listeners.size > 0 || events.get(event)?.hear !== hear) return;
    client.off(event, hear);
    events.delete(event);
  };
}

function listenOnce<Event extends 'ready' | 'end'>(
  client: Emits<Event>,
  event: Event,
  events: Map<string, Listening>,
): Listening {
  const listeners = new Set<() => void>();
  const hear = (): void => {
    // Those of now: one of them may listen again.
    const current = [...listeners];
    for (const each of current) each();
  };
  const made = { listeners, hear };
  events.set(event, made);
  client.on(event, hear);
  return made;
}

/**
 * ioredis options for a connection that decides requests. Each one keeps a decision from being late or made twice:
 * nothing queues while the connection is away, nothing that may have run is sent again, and a returning Redis is
 * found within a second. `socketTimeout` gives up a connection whose server has gone silent: without it a frozen master
 * keeps its clients for as long as TCP does, a quarter of an hour, even if another node has taken over.
 */
export const hotPathOptions: {
  readonly enableOfflineQueue: false;
  readonly autoResendUnfulfilledCommands: false;
  readonly maxRetriesPerRequest: 0;
  readonly connectTimeout: number;
  readonly socketTimeout: number;
  readonly retryStrategy: (attempt: number) => number;
  readonly sentinelRetryStrategy: (attempt: number) => number;
} = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: 1_000,
  socketTimeout: 1_000,
  retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
  sentinelRetryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
};

/**
 * The same for `new Cluster(nodes, hotPathClusterOptions)`.
 *
 * - `retryDelayOnFailover: 0`: by default ioredis sends what a closed connection left unanswered to another node, so a
 *   decision that was made there is made twice.
 * - `retryDelayOnClusterDown: 0`: a request that can't be decided now is answered now, not decided later.
 * - `slotsRefreshInterval`: by default ioredis learns of a new master only when the old one closes its connections or
 *   answers MOVED, and a frozen one does neither.
 * - `enableOfflineQueue` stays true: nodes are connected when they are first needed, and without a queue all other requests
 *   of these milliseconds would be refused. A caller with its own deadline must stop sending once it has passed.
 */
export const hotPathClusterOptions: {
  readonly enableOfflineQueue: true;
  readonly retryDelayOnFailover: 0;
  readonly retryDelayOnClusterDown: 0;
  readonly retryDelayOnTryAgain: number;
  readonly maxRedirections: number;
  readonly slotsRefreshInterval: number;
  readonly slotsRefreshTimeout: number;
  readonly clusterRetryStrategy: (attempt: number) => number;
  readonly redisOptions: {
    readonly autoResendUnfulfilledCommands: false;
    readonly maxRetriesPerRequest: 0;
    readonly connectTimeout: number;
    readonly socketTimeout: number;
  };
} = {
  enableOfflineQueue: true,
  retryDelayOnFailover: 0,
  retryDelayOnClusterDown: 0,
  retryDelayOnTryAgain: 10,
  maxRedirections: 4,
  slotsRefreshInterval: 2_000,
  slotsRefreshTimeout: 500,
  clusterRetryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
  redisOptions: {
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: 1_000,
    socketTimeout: 1_000,
  },
};

/**
 * Options for `createClient({ url, ...nodeRedisOptions })` of node-redis, and for the `nodeClientOptions` of its Sentinel client:
 * what waits for a connection is refused and not carried out later, and a returning Redis is found within a second.
 */
export const nodeRedisOptions: {
  readonly disableOfflineQueue: true;
  /** A new object each time: node-redis writes host and port into it. */
  readonly socket: { connectTimeout: number; reconnectStrategy: (attempt: number) => number };
} = {
  disableOfflineQueue: true,
  get socket() {
    return { connectTimeout: 1_000, reconnectStrategy: (attempt: number) => Math.min(50 * (attempt + 1), 1_000) };
  },
};

/**
 * The same for `createCluster({ rootNodes, ...nodeRedisClusterOptions })`. Version 6 learns of a new master within
 * `topologyRefreshOnReconnectionAttemptStrategy` ms of the old one's end; version 5 when a node says so.
 */
export const nodeRedisClusterOptions: {
  readonly topologyRefreshOnReconnectionAttemptStrategy: number;
  readonly defaults: typeof nodeRedisOptions;
} = {
  topologyRefreshOnReconnectionAttemptStrategy: 500,
  get defaults() {
    return { disableOfflineQueue: nodeRedisOptions.disableOfflineQueue, socket: nodeRedisOptions.socket };
  },
};
