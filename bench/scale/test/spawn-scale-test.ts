import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { compiled, workDirectoryRoot } from '@spillway/local-servers/testing';

const program = await compiled(new URL('../src/main.ts', import.meta.url));

/** The scale test as a process of its own, which keeps all its temporary files in `home`. */
export interface ScaleTestProcess {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** Resolves to the exit code, when all output is there. */
  readonly exited: Promise<number | null>;
}

/** Starts it, as built. */
export function spawnScaleTest(home: string, ...args: readonly string[]): ScaleTestProcess {
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, TMPDIR: home, SPILLWAY_WORK_DIRECTORY_ROOT: home, npm_lifecycle_event: undefined },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    exited: once(child, 'close').then(() => child.exitCode),
  };
}

/** A temporary directory into which the servers' own user may look, too. */
export function openHome(): string {
  const home = mkdtempSync(path.join(workDirectoryRoot(), 'spillway-scale-'));
  chmodSync(home, 0o755);
  return home;
}

/**
 * Command lines of the processes that were started with this home, by their own or by their parent's. A Redis overwrites
 * both with a title; its supervisor, which outlives it, is among them. Only where /proc is.
 */
export function processesOf(home: string): readonly { readonly pid: number; readonly command: string }[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    const command = read(entry, 'cmdline').replaceAll('\0', ' ');
    const belongs = command.includes(home) || read(entry, 'environ').split('\0').includes(`TMPDIR=${home}`);
    return belongs ? [{ pid: Number(entry), command }] : [];
  });
}

function read(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
