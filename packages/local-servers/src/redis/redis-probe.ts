import { Redis } from 'ioredis';

/**
 * Asks a Redis who it is.
 *
 * @returns the process id it reports
 * @throws whatever the connection says, within about a second
 */
export async function askRedisPid(host: string, port: number): Promise<number> {
  const redis = connectOnce(host, port);
  try {
    const info = await redis.info('server');
    return Number(/^process_id:(\d+)/m.exec(info)?.[1]);
  } finally {
    redis.disconnect();
  }
}

/**
 * A client for a few commands: one connection, no retries, a second of patience.
 * Its `error` events are swallowed because every command rejects with the same reason.
 */
export function connectOnce(host: string, port: number): Redis {
  const redis = new Redis({
    host,
    port,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: 1000,
    commandTimeout: 1000,
  });
  redis.on('error', () => {});
  return redis;
}
