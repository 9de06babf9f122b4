import { Command } from '@commander-js/extra-typings';
import { readWorkerConfig } from '@spillway/worker';
import type { CliContext } from '../cli-context.ts';

/** `spillway worker`. */
export function workerCommand({ env, runWorker }: CliContext): Command {
  return new Command('worker')
    .description('run the worker until SIGTERM or SIGINT: audit trail, schedules, self-observation')
    .addHelpText(
      'after',
      '\nNeeds REDIS_URL and DATABASE_URL; see the README for the other variables. Logs are JSON lines.',
    )
    .action(async () => {
      // The worker's own main would end with 1.
      readWorkerConfig(env);
      await runWorker();
    });
}
