import { Redis } from 'ioredis';

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

/** A Redis and the variable that named it. */
export interface RedisAddress {
  readonly variable: string;
  readonly url: string;
}

/** Longest wait for a connection or an answer, in ms. */
const TIMEOUT_MS = 5_000;

/**
 * Runs `work` on a connection that tries once and doesn't come back: somebody is waiting.
 * @throws {RedisUnavailableError} when there is no connection, or no more.
 */
export async function withRedis<T>({ variable, url }: RedisAddress, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: TIMEOUT_MS,
    commandTimeout: TIMEOUT_MS,
    maxRetriesPerRequest: null,
    retryStrategy: () => null,
    replyMapping: 'legacy',
    connectionName: 'spillway-cli',
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
