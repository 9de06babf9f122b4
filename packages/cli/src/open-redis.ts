import { openRedis } from '@spillway/redis/ioredis';
import { Cluster, type Redis } from 'ioredis';

/** Redis can't be reached, or was lost meanwhile. */
export class RedisUnavailableError extends Error {
  readonly code = 'redis_unavailable';
  override readonly name = 'RedisUnavailableError';
  /** The variable that named it. */
  readonly variable: string;

  constructor(variable: string, cause: unknown) {
    super(`${variable}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.variable = variable;
  }
}

/** A Redis, of any kind that `parseRedisUrl` reads, and the variable that named it. */
export interface RedisAddress {
  readonly variable: string;
  readonly url: string;
}

/** Longest wait for a connection or an answer, in ms. */
const TIMEOUT_MS = 5_000;

const options = {
  connectTimeout: TIMEOUT_MS,
  commandTimeout: TIMEOUT_MS,
  maxRetriesPerRequest: null,
  connectionName: 'spillway-cli',
} as const;

/** The servers that a connection leads to: one, or a Cluster's masters. */
export function serversOf(redis: Redis | Cluster): readonly Redis[] {
  return redis instanceof Cluster ? redis.nodes('master') : [redis];
}

/**
 * Runs `work` on a connection that tries once and doesn't come back: somebody is waiting.
 * @throws {RedisUnavailableError} when there is no connection, or no more.
 */
export async function withRedis<T>(
  { variable, url }: RedisAddress,
  work: (redis: Redis | Cluster) => Promise<T>,
): Promise<T> {
  const redis = openRedis(url, {
    server: { ...options, lazyConnect: true, retryStrategy: () => null, sentinelRetryStrategy: () => null },
    cluster: { redisOptions: options, lazyConnect: true, clusterRetryStrategy: () => null },
  });
  // Why there is no connection; what commands reject with says only that there is none.
  let reason: Error | undefined;
  redis.on('error', (error: Error) => (reason = error));
  try {
    await redis.connect();
    return await work(redis);
  } catch (error) {
    throw redis.status === 'ready' ? error : new RedisUnavailableError(variable, reason ?? error);
  } finally {
    redis.disconnect();
  }
}
