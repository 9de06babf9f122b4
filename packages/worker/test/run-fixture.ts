import { type ChildProcess, spawn } from 'node:child_process';
import { compiled } from '@spillway/local-servers/testing';

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
