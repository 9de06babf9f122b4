import { NAMESPACE_PATTERN, cannotWrite, parseRedisUrl } from '@spillway/redis';
import { openRedis } from '@spillway/redis/ioredis';
import { Cluster, type ClusterNode, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';

/** An option that can't work. The message names the option and the bad value. */
export class WorkerOptionError extends Error {
  readonly code = 'invalid_option';
  override readonly name = 'WorkerOptionError';
  /** The option, as the caller writes it. */
  readonly option: string;
  /** What was passed. */
  readonly value: unknown;

  constructor(option: string, value: unknown, expected: string) {
    super(
      `option "${option}" must be ${expected}, got ${typeof value === 'string' ? JSON.stringify(value) : String(value)}`,
    );
    this.option = option;
    this.value = value;
  }
}

/**
 * Returns `value` when it is a whole number from `minimum` to `maximum`.
 * @throws {WorkerOptionError} otherwise.
 */
export function wholeNumber(option: string, value: number, minimum: number, maximum: number): number {
  if (!Number.isSafeInteger(value) || value < minimum || value > maximum) {
    throw new WorkerOptionError(option, value, `a whole number from ${minimum} to ${maximum}`);
  }
  return value;
}

/**
 * A namespace; `''` for none.
 * @throws {WorkerOptionError} unless it can be part of keys and channels.
 */
export function checkedNamespace(value = ''): string {
  if (value !== '' && !NAMESPACE_PATTERN.test(value)) {
    throw new WorkerOptionError('namespace', value, '1 to 64 of a-z, 0-9, _ and -');
  }
  return value;
}

/**
 * Where a Redis is: a URL that `parseRedisUrl` reads, or a client of ioredis or iovalkey, whose address, credentials and database
 * are copied.
 */
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
  // A server that can't write is a demoted master: its name may lead to the successor by now.
  reconnectOnError: cannotWrite,
  // A caller's own setting: commands of scripts are none that it knows.
  enableAutoPipelining: false,
  replyMapping: 'legacy',
  // BullMQ takes no texts for numbers.
  stringNumbers: false,
  readOnly: false,
  lazyConnect: false,
} as const;

/** What a new connection is for. */
export interface ConnectOptions {
  /** The option that `source` came from, for the error. */
  readonly option: string;
  /** Shown in `CLIENT LIST`. */
  readonly connectionName: string;
  /** Called for every lost connection and failed attempt; without a listener the library prints them. */
  readonly onError: (error: Error) => void;
}

/**
 * Opens a connection of its own; a client that is passed in is only copied, so that waiting commands never stand in front
 * of the caller's. Connects in the background and for as long as it takes.
 * @throws {WorkerOptionError} for a string that is no such URL.
 */
export function connect(source: RedisSource, { option, connectionName, onError }: ConnectOptions): Redis | Cluster {
  const client = open(source, option, { ...workerOptions, connectionName });
  client.on('error', onError);
  return client;
}

type OpenOptions = typeof workerOptions & { readonly connectionName: string };

function open(source: RedisSource, option: string, options: OpenOptions): Redis | Cluster {
  if (typeof source !== 'string') return copyOf(source, option, options);
  // The value may hold a password: never repeat it.
  if (parseRedisUrl(source) === undefined)
    throw new WorkerOptionError(option, '(hidden)', 'a redis://, redis-cluster:// or redis-sentinel:// URL');
  return openRedis(source, {
    server: { ...options, sentinelRetryStrategy: workerOptions.retryStrategy },
    cluster: clusterOptions(options),
  });
}

/**
 * A client of our own version of ioredis, whatever made the source: its classes are told apart below, and a client of another
 * copy, or of iovalkey, is none of them.
 */
function copyOf(source: Redis | Cluster, option: string, options: OpenOptions): Redis | Cluster {
  if (!isClient(source)) throw new WorkerOptionError(option, source, 'a URL, or a client of ioredis or iovalkey');
  if (isCluster(source)) {
    const { redisOptions = {}, ...given } = source.options;
    checkPrefix(given, option);
    const nodeOptions = { ...forWaiting(redisOptions, option), ...options };
    return new Cluster(startupNodesOf(source), { ...given, ...clusterOptions(nodeOptions), scaleReads: 'master' });
  }
  const db = source.condition?.select ?? source.options.db ?? 0;
  return new Redis({ ...forWaiting(source.options, option), ...options, db });
}

function isClient(value: unknown): value is Redis | Cluster {
  return typeof value === 'object' && value !== null && 'options' in value && 'call' in value && 'duplicate' in value;
}

function isCluster(client: Redis | Cluster): client is Cluster {
  return client.isCluster;
}

function startupNodesOf(client: Cluster): ClusterNode[] {
  const nodes: unknown = Reflect.get(client, 'startupNodes');
  return Array.isArray(nodes) ? [...nodes] : [];
}

/** Options without a time limit, since the worker's commands wait on purpose. */
function forWaiting(given: RedisOptions, option: string): RedisOptions {
  checkPrefix(given, option);
  const options = { ...given };
  delete options.commandTimeout;
  return options;
}

/** @throws {WorkerOptionError} for a prefix, which scripts don't follow. */
function checkPrefix({ keyPrefix }: Pick<RedisOptions, 'keyPrefix'>, option: string): void {
  if (keyPrefix !== undefined && keyPrefix !== '')
    throw new WorkerOptionError(option, 'keyPrefix', 'a client without the option keyPrefix');
}

/** Nodes are asked for their slots again and again: a master that froze says nothing of its successor. */
function clusterOptions<Options extends object>(
  redisOptions: Options,
): Pick<ClusterOptions, 'enableOfflineQueue' | 'clusterRetryStrategy' | 'slotsRefreshInterval'> & {
  redisOptions: Options;
} {
  return {
    enableOfflineQueue: true,
    clusterRetryStrategy: workerOptions.retryStrategy,
    slotsRefreshInterval: 2_000,
    redisOptions,
  };
}
