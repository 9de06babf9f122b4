import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { compiled } from '@spillway/local-servers/testing';

/** An example that runs as its own process, as a reader would run it. */
export interface RunningExample {
  readonly child: ChildProcess;
  /** Everything printed to standard output so far. Warnings, of a busy machine too, are in the output of the test run. */
  output(): string;
  /** Its exit code; waits for the end. */
  exited(): Promise<number | null>;
}

/** Starts an example by its name, without an ending, with these variables beside the process' own. */
export type RunExample = (name: string, env: Readonly<Record<string, string>>) => RunningExample;

const builtExample = await compiled(new URL('../src/plain-consume.ts', import.meta.url));

/** Runs the files next door, as built. */
export const runBuilt: RunExample = (name, env) =>
  run(process.execPath, [join(dirname(builtExample), `${name}.js`)], env);

/** Runs a program and keeps what it prints. */
export function run(program: string, args: readonly string[], env: Readonly<Record<string, string>>): RunningExample {
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.on('data', (chunk) => (printed += String(chunk)));
  const exit = once(child, 'exit');
  return {
    child,
    output: () => printed,
    exited: async () => {
      await exit;
      return child.exitCode;
    },
  };
}
