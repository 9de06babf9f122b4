import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { compiled } from '@spillway/embedded/testing';
import { onTestFinished } from 'vitest';

/** A program of ours as a process of its own. */
export interface Program {
  readonly child: ChildProcess;
  /** All that it has said on both streams. */
  output(): string;
  /** Its exit code; null after a signal. */
  readonly exited: Promise<number | null>;
}

const mains = {
  api: await compiled(new URL('../src/main.ts', import.meta.url)),
  worker: await compiled(new URL('../../worker/src/main.ts', import.meta.url)),
};

/** Starts the real process as built, with no other variables than these. It is killed when its test is over. */
export function startProgram(program: keyof typeof mains, env: Readonly<Record<string, string>>): Program {
  const child = spawn(process.execPath, [mains[program]], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
  return { child, output: () => output, exited: once(child, 'close').then(() => child.exitCode) };
}
