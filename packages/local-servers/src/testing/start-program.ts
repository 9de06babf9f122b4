import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

/** A program of ours as a process of its own. */
export interface Program {
  readonly child: ChildProcess;
  /** All that it has written to both streams. */
  output(): string;
  /** Its exit code; null after a signal. */
  readonly exited: Promise<number | null>;
}

/** Starts a program's JavaScript, see `compiled`, with no other variables than these. It is killed when its test is over. */
export function startProgram(
  main: string,
  env: Readonly<Record<string, string>>,
  args: readonly string[] = [],
): Program {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  return { child, output: () => output, exited: once(child, 'close').then(() => child.exitCode) };
}
