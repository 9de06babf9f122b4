import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A process may not open as many files as there are users. */
export class OpenFilesError extends Error {
  readonly code = 'too_few_open_files';
  override readonly name = 'OpenFilesError';

  constructor(needed: number, allowed: number) {
    super(
      `Each user is an open file, and a process may have ${allowed} of the ${needed} that are needed. ` +
        `Raise the limit in this shell first: ulimit -n ${needed}`,
    );
  }
}

/** Beside its users a process has servers to talk to, and libraries to read. */
const MARGIN = 500;

/**
 * Sees to it that the processes that we start may have that many users, by raising our own limit where we may: root can. Node
 * itself raises the soft limit to the hard one.
 * @throws {OpenFilesError}
 */
export async function allowOpenFiles(users: number): Promise<void> {
  const needed = users + MARGIN;
  const allowed = await openFileLimit();
  if (allowed === undefined || allowed >= needed) return;
  try {
    await run('prlimit', ['--pid', String(process.pid), `--nofile=${needed}:${needed}`]);
  } catch {
    throw new OpenFilesError(needed, allowed);
  }
}

/** The hard limit; undefined where it can't be read (no /proc), and a socket that fails will tell. */
async function openFileLimit(): Promise<number | undefined> {
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const [, hard] = /^Max open files +\S+ +(\S+)/m.exec(text) ?? [];
  return hard === undefined ? undefined : hard === 'unlimited' ? Infinity : Number(hard);
}
