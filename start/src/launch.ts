import { apiOptions, createLogger, serve, startApi } from '@spillway/api';
import { createApiKey, createPool, migrate, revokeApiKey } from '@spillway/db';
import { generateContent } from '@spillway/examples/generate-content';
import { configureRateLimit } from '@spillway/limiter/fetch';
import { byApiKey } from '@spillway/limiter/http';
import type { StartConfig, Wishes } from './config.ts';
import { openDataDirectory } from './data-directory.ts';
import { startLoad } from './load.ts';
import { startServers } from './servers.ts';
import { inStep, type Teardown } from './steps.ts';
import { type MaintainedTable, startMaintenance, startWorker, type WorkerLogger } from '@spillway/worker';

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

/**
 * Shortest deadline of a decision, in ms. This machine runs the servers, the worker and often a build besides: an answer that is
 * a moment late shows a limit, and one that is made up admits.
 */
const DECISION_MS = 2_000;

/** How long the printed key lasts when a kill -9 keeps the command from ending it. */
const KEY_MS = 30 * 86_400_000;

/**
 * Brings up everything, in this order: port, data directory, Redis and Postgres, tables, worker, API. On failure the
 * caller runs the teardown.
 * @throws {ListenError | DataDirectoryError | StartError} with a message for a person.
 */
export async function launch(options: LaunchOptions): Promise<Addresses> {
  const { config, wishes, teardown, onProgress, signal } = options;
  const { host, port, shards, namespace, queueRedisUrl, archiveTables } = config;
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
    ...apiOptions(config),
    deadlineMs: Math.max(config.deadlineMs, DECISION_MS),
    redisUrl: redis.url,
    pool,
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

/** What works behind the API. */
export interface BackgroundOptions {
  readonly redisUrl: string;
  /** The Redis of the worker's queue; undefined for the same one. */
  readonly queueRedisUrl: string | undefined;
  readonly postgresUrl: string;
  readonly shards: number;
  readonly namespace: string;
  /** Tables to archive. */
  readonly archiveTables: readonly MaintainedTable[];
  readonly logger: WorkerLogger;
  readonly teardown: Teardown;
}

/** How long the shutdown may take, half of it for a read of the outbox that waits up to a second, in ms. */
const CLOSE_MS = 2_400;

/** As in the worker's own process: two runs at once hold two connections each, and looking takes two. */
const MAINTENANCE_CONNECTIONS = 8;

/** A partition's detachment waits for the transactions that use it, in ms. */
const MAINTENANCE_STATEMENT_MS = 60_000;

/** Starts what the worker's process has: the way of events into Postgres, schedules and monitor. */
async function startBackground(options: BackgroundOptions): Promise<void> {
  const {
    redisUrl,
    queueRedisUrl = redisUrl,
    postgresUrl,
    shards,
    namespace,
    archiveTables,
    logger,
    teardown,
  } = options;
  const onError = (error: Error): void => logger.warn({ err: error }, 'start: Postgres connection');
  const pool = createPool({ connectionString: postgresUrl, onError });
  const maintenancePool = createPool({
    connectionString: postgresUrl,
    max: MAINTENANCE_CONNECTIONS,
    statementTimeoutMs: MAINTENANCE_STATEMENT_MS,
    onError,
  });
  teardown.add('worker pools', async () => void (await Promise.all([pool.end(), maintenancePool.end()])));
  const common = { redis: redisUrl, queueRedis: queueRedisUrl, shards, namespace, logger, closeTimeoutMs: CLOSE_MS };
  const worker = startWorker({ ...common, pool });
  const maintenance = await startMaintenance({
    ...common,
    pool: maintenancePool,
    tables: archiveTables,
  });
  teardown.add('worker', async () => void (await Promise.all([worker.close(), maintenance.close()])));
}
