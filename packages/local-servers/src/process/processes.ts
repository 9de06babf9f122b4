import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { readFileSync } from 'node:fs';

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

/** A process, told apart from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** The boot and the clock tick it began at; empty where the system doesn't say (only Linux does, in /proc). */
  readonly born: string;
}

/** Who has this number now. */
export function identify(pid: number): ProcessIdentity {
  return { pid, born: birth(pid) ?? '' };
}

/** Whether this very process runs. A zombie doesn't: it has ended, and only its parent hasn't noticed. */
export function isRunning({ pid, born }: ProcessIdentity): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // Not permitted to send a signal means that there is somebody.
    if (!(error instanceof Error && Reflect.get(error, 'code') === 'EPERM')) return false;
  }
  const now = birth(pid);
  if (now === undefined) return born === '';
  return born === '' || born === now;
}

/** The parent of a process; undefined where the system doesn't say. */
export function parentOf(pid: number): number | undefined {
  const parent = Number(statOf(pid)?.[1]);
  return Number.isInteger(parent) ? parent : undefined;
}

/** Undefined when no such process runs, or the system doesn't say. */
function birth(pid: number): string | undefined {
  const stat = statOf(pid);
  if (stat === undefined || stat[0] === 'Z') return undefined;
  try {
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}/${stat[19]}`;
  } catch {
    return undefined;
  }
}

/** The fields of /proc/PID/stat from the third on: state, parent, and so on. See proc_pid_stat(5). */
function statOf(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name in parentheses and may hold anything, parentheses included.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
