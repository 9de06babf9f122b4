import { ConfigError } from '@spillway/config';
import { createPool } from '@spillway/db';
import { pino } from 'pino';
import { readConfig, type WorkerConfig } from './config.ts';
import { startWorker } from './start-worker.ts';

/** What the process may take beyond the worker's own time to shut down: for the pool's connections. */
const EXIT_MARGIN_MS = 500;

function run(config: WorkerConfig): void {
  const logger = pino({ name: 'spillway-worker', level: config.logLevel });
  const pool = createPool({
    connectionString: config.databaseUrl,
    applicationName: 'spillway-worker',
    max: config.sinkConcurrency + 1,
    onError: (error) => logger.warn({ err: error }, 'worker: Postgres connection'),
  });
  const worker = startWorker({
    redis: config.redisUrl,
    queueRedis: config.queueRedisUrl,
    pool,
    shards: config.shards,
    logger,
    sink: { concurrency: config.sinkConcurrency },
    closeTimeoutMs: config.shutdownTimeoutMs,
  });
  logger.info({ shards: config.shards }, 'worker: running');

  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    logger.info({ signal }, 'worker: stopping');
    // A socket that never closes must not keep the process from ending.
    setTimeout(() => {
      logger.error('worker: ended the hard way');
      process.exit(1);
    }, config.shutdownTimeoutMs + EXIT_MARGIN_MS).unref();
    await worker.close();
    await pool.end();
    logger.info('worker: stopped');
    process.exit(0);
  };
  let stopping: Promise<void> | undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => void (stopping ??= stop(signal)));
  }
}

try {
  run(readConfig(process.env));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
