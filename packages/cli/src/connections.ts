import { type ConnectionSource, createPool, type Queryable } from '@spillway/db';
import { type LivePolicies, livePolicies } from '@spillway/limiter';
import { openRedis } from '@spillway/redis/ioredis';
import { Cluster, type Redis } from 'ioredis';
import { actor, type CliContext } from './cli-context.ts';
import { readShards, readTrailRedises, readDatabaseUrl, type RedisAddress, RedisUnavailableError } from './config.ts';

/** Runs `work` on the live policies of the deployment that the variables name, as the user of this machine. */
export async function withLive<Result>(
  context: CliContext,
  work: (live: LivePolicies) => Promise<Result>,
): Promise<Result> {
  const { namespace } = readShards(context.env);
  return withRedis(readTrailRedises(context.env).trail, async (redis) => {
    const live = livePolicies({ redis, namespace, actor: actor().slice(0, 200).toWellFormed(), deadlineMs: 5_000 });
    try {
      return await work(live);
    } finally {
      await live.close();
    }
  });
}

/** Connects for one command, where `DATABASE_URL` leads unless another URL is given. Statements have no time limit: a person is watching. */
export async function withPool<T>(
  { env }: CliContext,
  work: (pool: ConnectionSource & Queryable) => Promise<T>,
  url: string = readDatabaseUrl(env),
): Promise<T> {
  const pool = createPool({
    connectionString: url,
    applicationName: 'spillway-cli',
    max: 4,
    // A pooler may refuse connections that ask for more, and maintenance works behind one too.
    server: 'pgbouncer',
    statementTimeoutMs: 3_600_000,
    // The command that runs fails by itself.
    onError: () => {},
  });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
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
 * Runs `work` on a connection that is tried once, without reconnecting: a person is waiting.
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
