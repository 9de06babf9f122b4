import {
  type PostgresServer,
  type RedisServer,
  resolveStack,
  startPostgres,
  startRedis,
} from '@spillway/local-servers';
import { openRedis } from '@spillway/redis/ioredis';
import type { DataDirectory } from './data-directory.ts';
import { inStep, type Teardown } from './steps.ts';

/** The two servers that everything else stands on. */
export interface Servers {
  readonly redis: RedisServer;
  readonly postgres: PostgresServer;
}

/** What {@link startServers} works with. */
export interface ServersOptions {
  readonly data: DataDirectory;
  /** Whether a missing Redis may be installed with apt-get. */
  readonly install: boolean;
  readonly teardown: Teardown;
  /** Told about things that take long. */
  readonly onProgress: (line: string) => void;
}

/** How long a Redis that is said to be up may take to answer, in ms. */
const EXTERNAL_REDIS_MS = 5_000;

/**
 * Brings up Redis and Postgres side by side, or takes those that `REDIS_URL` and `DATABASE_URL` name. What came up is in
 * the teardown, also when the other one failed.
 * @throws {StartError}
 */
export async function startServers(options: ServersOptions): Promise<Servers> {
  const { data, teardown } = options;
  // `allSettled`: after a failure of one, the other must have arrived in the teardown before that runs.
  const [redis, postgres] = await Promise.allSettled([
    inStep('Redis', () => bringUpRedis(options)),
    inStep('Postgres', () => bringUpPostgres(options)),
  ]);
  const up = [redis, postgres].filter((result) => result.status === 'fulfilled').map(({ value }) => value);
  teardown.add('servers', async () => void (await Promise.all(up.map((server) => server.stop()))));
  await data.lock.note(up.map(({ pid }) => pid).filter((pid) => pid !== undefined));
  if (redis.status === 'rejected') throw redis.reason;
  if (postgres.status === 'rejected') throw postgres.reason;
  return { redis: redis.value, postgres: postgres.value };
}

async function bringUpRedis({ data, install, onProgress }: ServersOptions): Promise<RedisServer> {
  const stack = await resolveStack({ purpose: 'start', server: 'redis' });
  if (stack !== 'external') onProgress('Starting Redis');
  const server = await startRedis({ stack, dataDir: data.redis, appendOnly: true, install, onProgress });
  // The rest would start without it and wait for it in silence.
  if (stack === 'external') await expectAnswer(server.url);
  return server;
}

async function bringUpPostgres({ data, onProgress }: ServersOptions): Promise<PostgresServer> {
  const stack = await resolveStack({ purpose: 'start', server: 'postgres' });
  if (stack !== 'external') onProgress('Starting Postgres');
  return startPostgres({ stack, dataDir: data.postgres });
}

async function expectAnswer(url: string): Promise<void> {
  const server = { lazyConnect: true, connectTimeout: EXTERNAL_REDIS_MS, retryStrategy: () => null };
  const redisOptions = { connectTimeout: EXTERNAL_REDIS_MS };
  const client = openRedis(url, {
    server: { ...server, sentinelRetryStrategy: () => null },
    cluster: { lazyConnect: true, clusterRetryStrategy: () => null, redisOptions },
  });
  // Also the reason of a failed connect, which itself only says "Connection is closed".
  let reason: Error | undefined;
  client.on('error', (error: Error) => (reason = error));
  try {
    // A timer of our own: neither a Cluster nor sentinels that hang are bounded by the options.
    const late = new Error(`no answer within ${EXTERNAL_REDIS_MS} ms`);
    await withDeadline(async () => {
      await client.connect();
      await client.ping();
    }, late);
  } catch (error) {
    throw new Error(`the one that REDIS_URL names does not answer (${(reason ?? error)?.toString()})`, {
      cause: error,
    });
  } finally {
    client.disconnect();
  }
}

async function withDeadline(work: () => Promise<void>, late: Error): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late), EXTERNAL_REDIS_MS);
  });
  try {
    await Promise.race([work(), deadline]);
  } finally {
    clearTimeout(timer);
  }
}
