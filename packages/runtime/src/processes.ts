import { readFileSync } from 'node:fs';

/** A process, distinguished from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** The boot and the clock tick it began at; empty where the system doesn't say (only Linux does, in /proc). */
  readonly born: string;
}

/** The process that has this number now. */
export function processIdentity(pid: number): ProcessIdentity {
  return { pid, born: birth(pid) ?? '' };
}

/** Whether this very process runs. A zombie doesn't: it has ended, and only its parent hasn't noticed. */
export function isRunning({ pid, born }: ProcessIdentity): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM means that the process exists.
    if (!(error instanceof Error && Reflect.get(error, 'code') === 'EPERM')) return false;
  }
  const now = birth(pid);
  if (now === undefined) return born === '';
  return born === '' || born === now;
}

/** The parent of a process; undefined where the system doesn't say. */
function parentOf(pid: number): number | undefined {
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

const POLL_MS = 250;

/**
 * Calls back once, when a package manager that started us has ended.
 *
 * `npx pnpm start` is five processes: npx, a shell, pnpm, a shell, us. A SIGTERM to the first ends npx and its shell, and
 * none of the others gets it: pnpm and everything under it would keep running.
 */
export function whenPackageManagerDies(callback: () => void): void {
  const above = packageManagers();
  const watch = setInterval(() => {
    if (above.every(isRunning)) return;
    clearInterval(watch);
    callback();
  }, POLL_MS);
  watch.unref();
}

/**
 * The processes from our parent up to the outermost package manager. Whatever a package manager starts has
 * `npm_lifecycle_event` in its environment, so the first that hasn't is the outermost. Without /proc only our parent.
 */
function packageManagers(): readonly ProcessIdentity[] {
  const found: ProcessIdentity[] = [];
  let pid: number | undefined = process.ppid;
  while (pid !== undefined && pid > 1) {
    found.push(processIdentity(pid));
    if (!wasStartedByPackageManager(pid)) break;
    pid = parentOf(pid);
  }
  return found;
}

function wasStartedByPackageManager(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8')
      .split('\0')
      .some((entry) => entry.startsWith('npm_lifecycle_event='));
  } catch {
    return false;
  }
}
