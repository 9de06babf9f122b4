import { hostname } from 'node:os';
import { createPool } from '@spillway/db';
import { livePolicies } from '@spillway/limiter';
import { type PolicyFile, takeFile } from '@spillway/runtime/file';
import { addressError, type WorkerConfig } from './config.ts';
import type { WorkerLogger } from './logger.ts';
import { startMaintenance } from './start-maintenance.ts';
import { startWorker } from './start-worker.ts';
import { runShutdownStep } from './timing.ts';
import { workerRegistry } from './worker-metrics.ts';
import { workerTracing } from './worker-tracing.ts';

/** Beyond the worker's own time to shut down: for the connections to Postgres, in ms. */
const POOLS_MARGIN_MS = 250;

/** Two runs at once hold two connections each, and the worker looks at itself with two. */
const MAINTENANCE_CONNECTIONS = 8;

/** A partition's detachment waits for the transactions that use it. */
const MAINTENANCE_STATEMENT_MS = 60_000;

/** What {@link runWorker} takes. */
export interface RunWorkerOptions {
  readonly config: WorkerConfig;
  readonly logger: WorkerLogger;
  /** What `SPILLWAY_FILE` says, to apply in the background. @default nothing is applied */
  readonly file?: PolicyFile | undefined;
  /** Whether OpenTelemetry is started in this process. @default false */
  readonly telemetry?: boolean;
}

/** The whole of a worker: trail, schedules, monitor and its connections. */
export interface RunningWorker {
  /**
   * Stores what was read, ends after the batches at hand, and disconnects; within `shutdownTimeoutMs` and a quarter of a
   * second. What is not finished by then is in Redis for the next worker. Never rejects.
   */
  close(): Promise<void>;
}

type Pools = Record<'sink' | 'maintenance', ReturnType<typeof createPool>>;

function openPools(config: WorkerConfig, logger: WorkerLogger): Pools {
  return {
    sink: createPool({
      connectionString: config.databaseUrl,
      applicationName: 'spillway-worker',
      server: config.databaseServer,
      max: config.sinkConcurrency + 1,
      onError: (error) => logger.warn({ err: error }, 'worker: Postgres connection'),
    }),
    maintenance: createPool({
      connectionString: config.maintenanceDatabaseUrl,
      applicationName: 'spillway-maintenance',
      server: config.maintenanceDatabaseServer,
      max: MAINTENANCE_CONNECTIONS,
      statementTimeoutMs: MAINTENANCE_STATEMENT_MS,
      onError: (error) => logger.warn({ err: error }, 'maintenance: Postgres connection'),
    }),
  };
}

/**
 * Runs all that a worker's process does, in this process: a process of its own, or one that serves the API too. Opens its own
 * connections; neither Redis nor Postgres has to be up. Any number of processes may.
 *
 * @throws {ConfigError} if the address of its health server is not available; nothing is left open then.
 */
export async function runWorker({ config, logger, file, telemetry = false }: RunWorkerOptions): Promise<RunningWorker> {
  const pools = openPools(config, logger);
  const { registry, metrics } = workerRegistry();
  const endPools = async (): Promise<unknown> => Promise.all([pools.sink.end(), pools.maintenance.end()]);
  const maintenance = await startMaintenance({
    telemetry,
    registry,
    redis: config.redisUrl,
    queueRedis: config.queueRedisUrl,
    pool: pools.maintenance,
    shards: config.shards,
    namespace: config.namespace,
    logger,
    tables: config.archiveTables,
    readyMaxLagMs: config.readyMaxLagMs,
    closeTimeoutMs: config.shutdownTimeoutMs,
    ...(config.http === undefined ? {} : { http: config.http }),
    ...(config.webhook === undefined ? {} : { webhook: config.webhook }),
  }).catch(async (error: unknown) => {
    await endPools();
    throw addressError(config, error);
  });
  const worker = startWorker({
    redis: config.redisUrl,
    queueRedis: config.queueRedisUrl,
    pool: pools.sink,
    shards: config.shards,
    namespace: config.namespace,
    logger,
    metrics,
    ...(telemetry ? { tracing: workerTracing(config.namespace) } : {}),
    sink: { concurrency: config.sinkConcurrency, blockRowsPerMinute: config.blockRowsPerMinute },
    closeTimeoutMs: config.shutdownTimeoutMs,
  });
  logger.info({ shards: config.shards, namespace: config.namespace, health: maintenance.url }, 'worker: running');

  const endFile = file === undefined ? undefined : applyAtStart(file, config, logger);
  const shutDown = async (): Promise<void> => {
    const end = performance.now() + config.shutdownTimeoutMs + POOLS_MARGIN_MS;
    await Promise.all([worker.close(), maintenance.close(), endFile?.()]);
    // A Postgres that hangs never lets a pool end. Whatever it still does with a statement is the same done twice.
    await runShutdownStep({ name: 'pools', finish: endPools, end }, logger);
  };
  let closing: Promise<void> | undefined;
  return { close: () => (closing ??= shutDown()) };
}

/** Takes the file over with a connection of its own, for as long as that takes. @returns a function that stops it */
function applyAtStart(
  file: PolicyFile,
  { redisUrl, namespace }: WorkerConfig,
  logger: WorkerLogger,
): () => Promise<void> {
  const live = livePolicies({ redis: redisUrl, namespace });
  const taking = takeFile({ file, live, actor: `worker:${hostname()}`, logger });
  return async () => {
    await taking.close();
    await live.close();
  };
}
