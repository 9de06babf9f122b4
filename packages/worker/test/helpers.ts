import { migrate } from '@spillway/db';
import { usePostgres, compiled } from '@spillway/local-servers/testing';
import type { WorkerLogger } from '../src/logger.ts';
import { type ChildProcess, spawn } from 'node:child_process';

/** A migrated database of its own for each test. */
export function useMigratedPostgres(): ReturnType<typeof usePostgres> {
  return usePostgres({
    migrate: async (url) => {
      await migrate({ connectionString: url });
    },
    template: 'worker',
    scope: 'test',
  });
}

/** A logger that keeps what it was told. */
export interface RecordingLogger extends WorkerLogger {
  /** All messages of level `warn` and above, in order. */
  readonly messages: readonly string[];
}

/** Makes one. */
export function recordingLogger(): RecordingLogger {
  const messages: string[] = [];
  const keep = (_: unknown, message?: string): void => {
    messages.push(message ?? '');
  };
  return { messages, debug: () => {}, info: () => {}, warn: keep, error: keep };
}

/**
 * Starts a program of this folder in a process of its own.
 * @param preload modules to import before it.
 */
export async function runFixture(
  name: string,
  args: readonly string[],
  preload: readonly string[] = [],
): Promise<ChildProcess> {
  const [program = '', ...before] = await Promise.all(
    [name, ...preload].map((each) => compiled(new URL(each, import.meta.url))),
  );
  const imports = before.flatMap((each) => ['--import', each]);
  return spawn(process.execPath, [...imports, program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}
