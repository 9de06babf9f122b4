import { hostname } from 'node:os';
import { ConfigError, endAtStopRequest, shutDownInOrder, startTelemetry } from '@spillway/runtime';
import { PolicyFileError, readPolicyFile, takeFile } from '@spillway/runtime/file';
import { createPool } from '@spillway/db';
import { firstAnswers, type RunningWorker, runWorker, ServerRefusedError } from '@spillway/worker';
import { type ApiConfig, apiOptions, readConfig, serversOf } from './config.ts';
import { type ApiLogger, createLogger } from './logger.ts';
import { startApi } from './start-api.ts';
import { ListenError } from './serve.ts';

/** How long requests in flight may take once the process got a stop signal. */
const DRAIN_MS = 3_000;

/** How long all of the shutdown may take, whatever has died; with a worker inside, so much beyond the worker's own time. */
const EXIT_DEADLINE_MS = 4_500;
const WORKER_MARGIN_MS = 500;

/** How long one of the dashboard's figures may take: it is read again two seconds later. */
const FIGURES_TIMEOUT_MS = 2_000;

type Pools = Record<'pool' | 'figures', ReturnType<typeof createPool>> & {
  readonly reads?: ReturnType<typeof createPool>;
};

/** Connections apart, so that slow figures delay neither keys nor routes. None is opened yet. */
function openPools(config: ApiConfig, logger: ApiLogger): Pools {
  const database = {
    connectionString: config.databaseUrl,
    server: config.databaseServer,
    onError: (error: Error): void => logger.warn({ err: error }, 'api: Postgres connection'),
  };
  const pool = createPool({ ...database, applicationName: 'spillway-api', max: 10 });
  const { databaseReadUrl } = config;
  const replica = databaseReadUrl === undefined ? database : { ...database, connectionString: databaseReadUrl };
  const figures = createPool({
    ...replica,
    applicationName: 'spillway-api-dashboard',
    max: 3,
    statementTimeoutMs: FIGURES_TIMEOUT_MS,
  });
  if (databaseReadUrl === undefined) return { pool, figures };
  return { pool, figures, reads: createPool({ ...replica, applicationName: 'spillway-api-lists', max: 5 }) };
}

/** The worker inside this process, if `SPILLWAY_WORKER=inside`. */
async function workerInside(
  { worker }: ApiConfig,
  logger: ApiLogger,
  telemetry: boolean,
): Promise<RunningWorker | undefined> {
  return worker === undefined ? undefined : runWorker({ config: worker, logger, telemetry });
}

function exitDeadlineMs({ worker }: ApiConfig): number {
  return Math.max(EXIT_DEADLINE_MS, worker === undefined ? 0 : worker.shutdownTimeoutMs + WORKER_MARGIN_MS);
}

async function run(config: ApiConfig): Promise<void> {
  const giveSignalsBack = endAtStopRequest();
  const file = config.file === undefined ? undefined : await readPolicyFile(config.file);
  const servers = firstAnswers(serversOf(config));
  await servers.asked;
  const logger = createLogger({ name: 'spillway-api', level: config.logLevel ?? 'info' });
  const telemetry = await startTelemetry({
    serviceName: 'spillway-api',
    env: process.env,
    onError: (error) => logger.warn({ err: error }, 'api: OpenTelemetry'),
  });
  const pools = openPools(config, logger);
  const api = await startApi({
    ...apiOptions(config),
    redisUrl: config.redisUrl,
    ...pools,
    logger,
    tracing: telemetry.active,
  });
  logger.info({ url: api.url, metrics: api.metricsUrl }, 'api: listening');
  const { live } = api.limiter;
  const taking = file && live && takeFile({ file, live, actor: `api:${hostname()}`, logger });
  const worker = await workerInside(config, logger, telemetry.active);

  giveSignalsBack();
  const end = shutDownInOrder({
    name: 'api',
    logger,
    deadlineMs: exitDeadlineMs(config),
    close: async () => {
      servers.stop();
      // Side by side: what the API tells Redis of at its end waits there for the next worker.
      await Promise.all([taking?.close().then(() => api.close(DRAIN_MS)) ?? api.close(DRAIN_MS), worker?.close()]);
      await Promise.all([...Object.values(pools).map(async (pool) => pool.end()), telemetry.shutdown()]);
    },
  });
  void servers.refused.then(end);
}

try {
  await run(readConfig(process.env));
} catch (error) {
  const isTold = [ConfigError, ListenError, PolicyFileError, ServerRefusedError].some((each) => error instanceof each);
  if (!(isTold && error instanceof Error)) throw error;
  console.error(error.message);
  // What was opened by then would keep the process running.
  process.exit(1);
}
