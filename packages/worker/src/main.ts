import { ConfigError, guardLogger, startTelemetry } from '@spillway/runtime';
import { PolicyFileError, readPolicyFile } from '@spillway/runtime/file';
import { pino } from 'pino';
import { readConfig, type WorkerConfig } from './config.ts';
import { runShutdownStep } from './shutdown-step.ts';
import { runWorker } from './run-worker.ts';

/** What the process may take beyond the worker's own time to shut down, in ms. */
const EXIT_MARGIN_MS = 500;

async function run(config: WorkerConfig): Promise<void> {
  const file = config.file === undefined ? undefined : await readPolicyFile(config.file);
  const logger = guardLogger(pino({ name: 'spillway-worker', level: config.logLevel }));
  const telemetry = await startTelemetry({
    serviceName: 'spillway-worker',
    env: process.env,
    onError: (error) => logger.warn({ err: error }, 'worker: OpenTelemetry'),
  });
  const worker = await runWorker({ config, logger, file, telemetry: telemetry.active });

  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    logger.info({ signal }, 'worker: stopping');
    const end = performance.now() + config.shutdownTimeoutMs + EXIT_MARGIN_MS / 2;
    // A socket that never closes must not keep the process from ending.
    setTimeout(() => {
      logger.error('worker: ended the hard way');
      process.exit(1);
    }, config.shutdownTimeoutMs + EXIT_MARGIN_MS).unref();
    await worker.close();
    await runShutdownStep({ name: 'telemetry', finish: async () => telemetry.shutdown(), end }, logger);
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
  if (!(error instanceof ConfigError || error instanceof PolicyFileError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
