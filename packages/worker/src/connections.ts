import { Cluster, Redis } from 'ioredis';
import { WorkerOptionError } from './errors.ts';

/** Where a Redis is: a `redis://` or `rediss://` URL, or a client whose address and credentials are copied. */
export type RedisSource = string | Redis | Cluster;

/**
 * How the worker's connections differ from those that decide requests: commands wait for Redis to come back instead of
 * failing, and a returning Redis is found within a second (the library's own backoff grows to 20). A command that is
 * unanswered after half a minute (the longest wait on purpose is 10 s) is on a dead connection, which is replaced.
 */
const workerOptions = {
  maxRetriesPerRequest: null,
  enableOfflineQueue: true,
  autoResendUnfulfilledCommands: true,
  connectTimeout: 5_000,
  socketTimeout: 30_000,
  retryStrategy: (attempt: number): number => Math.min(100 * attempt, 1_000),
  replyMapping: 'legacy',
} as const;

/** What a new connection is for. */
export interface ConnectOptions {
  /** The option that `source` came from, for the error. */
  readonly option: string;
  /** Shown in `CLIENT LIST`. */
  readonly connectionName: string;
  /** Told about every lost connection and failed attempt; without a listener the library prints them. */
  readonly onError: (error: Error) => void;
}

/**
 * Opens a connection of its own; a client that is passed in is only copied, so that waiting commands never stand in front
 * of the caller's. Connects in the background and for as long as it takes.
 * @throws {WorkerOptionError} for a string that is no Redis URL.
 */
export function connect(source: RedisSource, { option, connectionName, onError }: ConnectOptions): Redis | Cluster {
  const client = open(source, option, { ...workerOptions, connectionName });
  client.on('error', onError);
  return client;
}

function open(
  source: RedisSource,
  option: string,
  options: typeof workerOptions & { connectionName: string },
): Redis | Cluster {
  if (source instanceof Cluster) {
    const { redisOptions } = source.options;
    return source.duplicate([], {
      enableOfflineQueue: true,
      clusterRetryStrategy: options.retryStrategy,
      redisOptions: { ...redisOptions, ...options },
    });
  }
  if (typeof source !== 'string') return source.duplicate(options);
  // The value may hold a password: never repeat it.
  if (!/^rediss?:\/\/./u.test(source)) throw new WorkerOptionError(option, '(hidden)', 'a redis:// or rediss:// URL');
  return new Redis(source, options);
}
