import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Direct children of a process. Postgres gives each backend a session of its own, so signalling the
 * process group would miss them.
 */
export async function childrenOf(pid: number): Promise<readonly number[]> {
  try {
    const list = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return list.split(' ').filter(Boolean).map(Number);
  } catch {
    // No /proc (macOS), a kernel without the file, or the process is gone: ask ps.
    return childrenByPs(pid);
  }
}

async function childrenByPs(pid: number): Promise<readonly number[]> {
  try {
    const { stdout } = await run('ps', ['-A', '-o', 'ppid=', '-o', 'pid=']);
    return stdout
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .flatMap(([parent, child]) => (parent === pid && child !== undefined ? [child] : []));
  } catch {
    return [];
  }
}

/** Sends a signal; a process that is already gone is fine. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Freezes a server: the parent first, so that it can't start another child in between. */
export async function freeze(pid: number): Promise<void> {
  signal(pid, 'SIGSTOP');
  for (const child of await childrenOf(pid)) signal(child, 'SIGSTOP');
}

/** Undoes {@link freeze}: children first, so that the parent wakes up to working ones. */
export async function thaw(pid: number): Promise<void> {
  for (const child of await childrenOf(pid)) signal(child, 'SIGCONT');
  signal(pid, 'SIGCONT');
}

/** Ends a server and its children at once. Works on frozen ones too. */
export async function slay(pid: number): Promise<void> {
  // Stopped first: a Postgres that sees one backend die would start others while the list is worked off.
  signal(pid, 'SIGSTOP');
  const children = await childrenOf(pid);
  signal(pid, 'SIGKILL');
  for (const child of children) signal(child, 'SIGKILL');
}
