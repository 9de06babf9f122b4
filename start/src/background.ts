import { createPool } from '@spillway/db';
import { type MaintainedTable, startMaintenance, startWorker, type WorkerLogger } from '@spillway/worker';
import type { Teardown } from './teardown.ts';

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

/** Starts what the worker's process has: the way of events into Postgres, schedules and self-observation. */
export async function startBackground(options: BackgroundOptions): Promise<void> {
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
