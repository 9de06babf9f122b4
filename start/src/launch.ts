import { createLogger, serve, startApi } from '@spillway/api';
import { createApiKey, createPool, migrate, revokeApiKey } from '@spillway/db';
import { generateContent } from '@spillway/examples/generate-content';
import { configureRateLimit } from '@spillway/limiter/fetch';
import { byApiKey } from '@spillway/limiter/http';
import type { Wishes } from './arguments.ts';
import { startBackground } from './background.ts';
import type { StartConfig } from './config.ts';
import { openDataDirectory } from './data/data-directory.ts';
import { startLoad } from './load.ts';
import { startServers } from './servers.ts';
import { inStep } from './start-error.ts';
import type { Teardown } from './teardown.ts';

/** Where everything can be reached. */
export interface Addresses {
  readonly port: number;
  readonly redisUrl: string;
  readonly postgresUrl: string;
  readonly dataDir: string;
  /** A key with which everything may be done. It is stored nowhere, and ends with the command. */
  readonly adminKey: string;
}

/** What {@link launch} works with. */
export interface LaunchOptions {
  readonly config: StartConfig;
  readonly wishes: Wishes;
  /** Gets every step that was done, as soon as it was done. */
  readonly teardown: Teardown;
  readonly onProgress: (line: string) => void;
  /** Aborted when the start is not wanted any more; then it rejects at the next step. */
  readonly signal: AbortSignal;
}

/** How long requests in flight may take at the stop. */
const DRAIN_MS = 300;

/** How long the printed key lasts when a kill -9 keeps the command from ending it. */
const KEY_MS = 30 * 86_400_000;

/**
 * Brings up everything, in this order: port, data directory, Redis and Postgres, tables, worker, API. On failure the
 * caller runs the teardown.
 * @throws {ListenError | DataDirectoryError | StartError} with a message for a person.
 */
export async function launch(options: LaunchOptions): Promise<Addresses> {
  const { config, wishes, teardown, onProgress, signal } = options;
  const { host, port, shards, namespace, queueRedisUrl, jwt, sessionSecret, idempotency, archiveTables } = config;
  const { requestsPerMinute, attempts } = config;
  const logger = createLogger({ name: 'spillway', level: config.logLevel ?? 'warn' }, process.stderr);

  // Before anything else is started or wiped: a taken port is the likeliest mistake.
  await (await serve({ fetch: () => new Response(), host, port })).close(0);
  const data = await openDataDirectory(config.dataDir, wishes.fresh);
  teardown.add('lock', () => data.lock.release());
  signal.throwIfAborted();

  const { redis, postgres } = await startServers({ data, install: wishes.install, teardown, onProgress });
  signal.throwIfAborted();

  const { applied } = await inStep('Migration', () => migrate({ connectionString: postgres.url }));
  if (applied.length > 0) onProgress(`Applied ${applied.length} migrations`);
  signal.throwIfAborted();

  const pool = createPool({
    connectionString: postgres.url,
    onError: (error) => logger.warn({ err: error }, 'start: Postgres connection'),
  });
  teardown.add('pool', () => pool.end());
  const { key, row } = await inStep('The key', () =>
    createApiKey(pool, { name: 'start', scopes: ['admin'], expiresInMs: KEY_MS }),
  );
  teardown.add('key', async () => void (await revokeApiKey(pool, row.id)));
  await startBackground({
    redisUrl: redis.url,
    queueRedisUrl,
    postgresUrl: postgres.url,
    shards,
    namespace,
    archiveTables,
    logger,
    teardown,
  });
  const api = await startApi({
    redisUrl: redis.url,
    queueRedisUrl,
    pool,
    host,
    port,
    shards,
    namespace,
    jwt,
    sessionSecret,
    idempotency,
    requestsPerMinute,
    attempts,
    logger,
    mount: (limiter) => {
      // The one key that the commands to try have; all others are one client.
      configureRateLimit({ limiter, identify: byApiKey({ verify: (asked) => asked === 'demo' }) });
      return [{ method: 'POST', path: '/functions/v1/generate-content', handle: generateContent }];
    },
  });
  teardown.add('api', () => api.close(DRAIN_MS));
  signal.throwIfAborted();
  if (wishes.withLoad) {
    const load = startLoad({ limiter: api.limiter, redisUrl: redis.url, pool, shards, namespace, logger });
    teardown.add('load', () => load.close());
  }
  return { port, redisUrl: redis.url, postgresUrl: postgres.url, dataDir: data.path, adminKey: key };
}
