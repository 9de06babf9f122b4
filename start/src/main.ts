import { setTimeout as delay } from 'node:timers/promises';
import { ListenError } from '@spillway/api';
import { ConfigError, guardLogger, type LogLine, shutDownInOrder } from '@spillway/runtime';
import { readStartConfig, type StartConfig, parseCommand, usage, type Wishes } from './config.ts';
import { launch } from './launch.ts';
import { StartError, createTeardown } from './steps.ts';
import { summary } from './summary.ts';
import { DataDirectoryError } from './data-directory.ts';

/** All of the shutdown, whatever hangs. What is left then is ended by the servers' own guards. */
const EXIT_DEADLINE_MS = 4_700;

/** How long a step of the start that can't be interrupted may go on after a signal. */
const ABORT_MS = 1_500;

/** A line for the person who started it. */
const toTerminal: LogLine = (facts: object | string, message?: string) => {
  if (typeof facts === 'string') console.log(facts);
  else if ('err' in facts) console.error(message, facts.err);
  else console.log(`\n${message ?? ''}`);
};

async function start(config: StartConfig, wishes: Wishes): Promise<void> {
  const teardown = createTeardown((name, error) => console.error(`Could not stop ${name}:`, error));
  const abort = new AbortController();
  const { signal } = abort;
  const launched = launch({ config, wishes, teardown, signal, onProgress: (line) => console.log(line) });

  shutDownInOrder({
    name: 'Spillway',
    logger: guardLogger({ debug: toTerminal, info: toTerminal, warn: toTerminal, error: toTerminal }),
    deadlineMs: EXIT_DEADLINE_MS,
    terminal: { underPackageManager: config.underPackageManager },
    close: async () => {
      abort.abort();
      await Promise.race([launched.catch(() => undefined), delay(ABORT_MS)]);
      await teardown.run();
    },
  });

  try {
    console.log(summary(await launched, { searchPath: config.searchPath, cwd: process.cwd() }));
  } catch (error) {
    // Then the shutdown is under way and ends the process.
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
