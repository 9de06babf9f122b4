import { ConfigError, guardLogger } from '@spillway/runtime';
import { createPool } from '@spillway/db';
import { pino } from 'pino';
import type { WorkerLogger } from './logger.ts';
import { readConfig, type WorkerConfig } from './config.ts';
import { finishBy } from './finish-by.ts';
import { workerRegistry } from './prometheus/worker-registry.ts';
import { startTelemetry } from '@spillway/runtime';
import { workerTracing } from './telemetry/worker-tracing.ts';
import { startMaintenance } from './start-maintenance.ts';
import { startWorker } from './start-worker.ts';

/** What the process may take beyond the worker's own time to shut down: for the pool's connections. */
const EXIT_MARGIN_MS = 500;

/** Two runs at once hold two connections each, and the worker looks at itself with two. */
const MAINTENANCE_CONNECTIONS = 8;

/** A partition's detachment waits for the transactions that use it. */
const MAINTENANCE_STATEMENT_MS = 60_000;

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

async function run(config: WorkerConfig): Promise<void> {
  const logger = guardLogger(pino({ name: 'spillway-worker', level: config.logLevel }));
  const telemetry = await startTelemetry({
    serviceName: 'spillway-worker',
    env: process.env,
    onError: (error) => logger.warn({ err: error }, 'worker: OpenTelemetry'),
  });
  const pools = openPools(config, logger);
  const { registry, metrics } = workerRegistry();
  const maintenance = await startMaintenance({
    telemetry: telemetry.active,
    registry,
    redis: config.redisUrl,
    queueRedis: config.queueRedisUrl,
    pool: pools.maintenance,
    shards: config.shards,
    namespace: config.namespace,
    logger,
    tables: config.archiveTables,
    lagObjectiveMs: config.lagObjectiveMs,
    closeTimeoutMs: config.shutdownTimeoutMs,
    ...(config.http === undefined ? {} : { http: config.http }),
    ...(config.webhook === undefined ? {} : { webhook: config.webhook }),
  });
  const worker = startWorker({
    redis: config.redisUrl,
    queueRedis: config.queueRedisUrl,
    pool: pools.sink,
    shards: config.shards,
    namespace: config.namespace,
    logger,
    metrics,
    ...(telemetry.active ? { tracing: workerTracing(config.namespace) } : {}),
    sink: { concurrency: config.sinkConcurrency, blockRowsPerMinute: config.blockRowsPerMinute },
    closeTimeoutMs: config.shutdownTimeoutMs,
  });
  logger.info({ shards: config.shards, namespace: config.namespace, health: maintenance.url }, 'worker: running');

  const endPools = async (): Promise<unknown> =>
    Promise.all([pools.sink.end(), pools.maintenance.end(), telemetry.shutdown()]);
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    logger.info({ signal }, 'worker: stopping');
    const end = performance.now() + config.shutdownTimeoutMs + EXIT_MARGIN_MS / 2;
    // A socket that never closes must not keep the process from ending.
    setTimeout(() => {
      logger.error('worker: ended the hard way');
      process.exit(1);
    }, config.shutdownTimeoutMs + EXIT_MARGIN_MS).unref();
    await Promise.all([worker.close(), maintenance.close()]);
    // A Postgres that hangs never lets a pool end. Whatever it still does with a statement is the same done twice.
    await finishBy({ name: 'pools', finish: endPools, end }, logger);
    logger.info('worker: stopped');
    process.exit(0);
  };
  let stopping: Promise<void> | undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => void (stopping ??= stop(signal)));
  }
}

try {
  await run(readConfig(process.env));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
