import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * Starts a program of this folder from source, in a process of its own.
 * @param preload modules to import before it.
 */
export function runFixture(name: string, args: readonly string[], preload: readonly string[] = []): ChildProcess {
  const imports = preload.flatMap((each) => ['--import', file(each)]);
  return spawn(
    process.execPath,
    ['--conditions=@spillway/source', '--import', 'tsx', ...imports, file(name), ...args],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
}

function file(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
