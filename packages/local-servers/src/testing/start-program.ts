import path from 'node:path';
import { type ChildProcess, spawn, execFile } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished, inject } from 'vitest';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { takeTurn } from './shared-by-run.ts';

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

const run = promisify(execFile);
const tsc = fileURLToPath(new URL('../../../../node_modules/.bin/tsc', import.meta.url));

/**
 * Makes JavaScript of a program of the workspace and resolves to the file, which plain Node runs: a program takes a third of
 * the processor time to start that it takes from source. A module below `src` is what the build makes of it, and the build is
 * brought up to date first. A test's own program is bundled with what it imports of its package; the other packages are built.
 *
 * @param source the program, a TypeScript file
 * @throws Error with what the compiler said
 */
export async function compiled(source: URL): Promise<string> {
  const file = fileURLToPath(source);
  const folder = packageFolder(file);
  const inFolder = path.relative(folder, file);
  // Two compilers at once would write the same files.
  const endTurn = await takeTurn(inject('spillwayRun'), 'compiler');
  try {
    await run(tsc, ['-b', folder]).catch((error: { readonly stdout: string }) => {
      throw new Error(`${folder} does not compile: ${error.stdout}`, { cause: error });
    });
    if (inFolder.startsWith('src/')) return path.join(folder, 'dist', inFolder.slice(4).replace(/ts$/, 'js'));
    const outfile = path.join(folder, 'node_modules/.cache/spillway', inFolder.replace(/ts$/, 'mjs'));
    const { build } = await import('esbuild');
    const options = { bundle: true, format: 'esm', packages: 'external', platform: 'node', target: 'node20' } as const;
    await build({ ...options, entryPoints: [file], outfile, logLevel: 'silent' });
    return outfile;
  } finally {
    await endTurn();
  }
}

function packageFolder(file: string): string {
  let folder = path.dirname(file);
  while (!existsSync(path.join(folder, 'package.json'))) folder = path.dirname(folder);
  return folder;
}
