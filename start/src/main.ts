import { setTimeout as delay } from 'node:timers/promises';
import { ListenError } from '@spillway/api';
import { ConfigError } from '@spillway/runtime';
import { onStopRequest } from '@spillway/local-servers';
import { parseCommand, usage, type Wishes } from './arguments.ts';
import { readStartConfig, type StartConfig } from './config.ts';
import { DataDirectoryError } from './data/data-directory-error.ts';
import { launch } from './launch.ts';
import { StartError } from './start-error.ts';
import { summary } from './summary.ts';
import { createTeardown } from './teardown.ts';

/** All of the shutdown, whatever hangs. What is left then is ended by the servers' own guards. */
const EXIT_DEADLINE_MS = 4_700;

/** How long a step of the start that can't be interrupted may go on after a signal. */
const ABORT_MS = 1_500;

async function start(config: StartConfig, wishes: Wishes): Promise<void> {
  const teardown = createTeardown((name, error) => console.error(`Could not stop ${name}:`, error));
  const abort = new AbortController();
  const { signal } = abort;
  const launched = launch({ config, wishes, teardown, signal, onProgress: (line) => console.log(line) });

  const stop = async (): Promise<void> => {
    console.log('\nStopping');
    setTimeout(() => process.exit(1), EXIT_DEADLINE_MS).unref();
    abort.abort();
    await Promise.race([launched.catch(() => undefined), delay(ABORT_MS)]);
    await teardown.run();
    process.exit(0);
  };
  onStopRequest({
    underPackageManager: config.underPackageManager,
    stop: () => void stop(),
    // The guards stop the servers when we are gone.
    insist: () => process.exit(130),
  });

  try {
    console.log(summary(await launched, { searchPath: config.searchPath, cwd: process.cwd() }));
  } catch (error) {
    // Then `stop` is at work and ends the process.
    if (signal.aborted) return;
    await teardown.run();
    throw error;
  }
}

const command = parseCommand(process.argv.slice(2));
if (command.kind === 'help') {
  console.log(usage);
} else if (command.kind === 'mistake') {
  console.error(`${command.message}\n\n${usage}`);
  process.exitCode = 2;
} else {
  try {
    await start(readStartConfig(process.env), command);
  } catch (error) {
    const expected = [ConfigError, ListenError, DataDirectoryError, StartError].some((type) => error instanceof type);
    console.error(expected && error instanceof Error ? `\n${error.message}` : error);
    process.exit(1);
  }
}
