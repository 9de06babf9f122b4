import { ConfigError, endAtStopRequest, guardLogger, shutDownInOrder, startTelemetry } from '@spillway/runtime';
import { PolicyFileError, readPolicyFile } from '@spillway/runtime/file';
import { pino } from 'pino';
import { readConfig, serversOf, type WorkerConfig } from './config.ts';
import { firstAnswers, ServerRefusedError } from './first-answers.ts';
import { runWorker } from './run-worker.ts';
import { runShutdownStep } from './timing.ts';

/** What the process may take beyond the worker's own time to shut down, in ms. */
const EXIT_MARGIN_MS = 500;

async function run(config: WorkerConfig): Promise<void> {
  const giveSignalsBack = endAtStopRequest();
  const file = config.file === undefined ? undefined : await readPolicyFile(config.file);
  const servers = firstAnswers(serversOf(config));
  await servers.asked;
  const logger = guardLogger(pino({ name: 'spillway-worker', level: config.logLevel }));
  const telemetry = await startTelemetry({
    serviceName: 'spillway-worker',
    env: process.env,
    onError: (error) => logger.warn({ err: error }, 'worker: OpenTelemetry'),
  });
  const worker = await runWorker({ config, logger, file, telemetry: telemetry.active });

  giveSignalsBack();
  const end = shutDownInOrder({
    name: 'worker',
    logger,
    deadlineMs: config.shutdownTimeoutMs + EXIT_MARGIN_MS,
    close: async () => {
      const latest = performance.now() + config.shutdownTimeoutMs + EXIT_MARGIN_MS / 2;
      servers.stop();
      await worker.close();
      await runShutdownStep({ name: 'telemetry', finish: async () => telemetry.shutdown(), end: latest }, logger);
    },
  });
  void servers.refused.then(end);
}

try {
  await run(readConfig(process.env));
} catch (error) {
  const isTold = [ConfigError, PolicyFileError, ServerRefusedError].some((each) => error instanceof each);
  if (!(isTold && error instanceof Error)) throw error;
  console.error(error.message);
  // What was opened by then would keep the process running.
  process.exit(1);
}
