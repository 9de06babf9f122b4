import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** An example that runs as its own process, as a reader would run it. */
export interface RunningExample {
  readonly child: ChildProcess;
  /** Everything printed so far. */
  output(): string;
  /** Its exit code; waits for the end. */
  exited(): Promise<number | null>;
}

/** Runs one of the files next door from source. */
export function runExample(file: string, env: Readonly<Record<string, string>>): RunningExample {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const child = spawn(process.execPath, ['--conditions=@spillway/source', '--import', 'tsx', path], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (printed += String(chunk)));
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
