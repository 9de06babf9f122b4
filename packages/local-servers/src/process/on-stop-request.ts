import { readFileSync } from 'node:fs';
import { identify, isRunning, parentOf, type ProcessIdentity } from './processes.ts';

/** By what a program is asked to end: the terminal, a supervisor, a terminal that was closed. */
export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** What {@link onStopRequest} does. */
export interface StopRequestOptions {
  /** Whether a package manager started this program: its death counts as a SIGTERM. */
  readonly underPackageManager: boolean;
  /** Called once, by the first request. */
  readonly stop: (signal: StopSignal) => void;
  /** Called by each further request: somebody insists. */
  readonly insist: (signal: StopSignal) => void;
}

/** Ctrl-C reaches a program from the terminal, and again from a package manager that passes it on: that is one, not two. */
const SAME_SIGNAL_MS = 700;

/** For the `main.ts` of a program that started servers: tells it when to end, from wherever that is asked. */
export function onStopRequest({ underPackageManager, stop, insist }: StopRequestOptions): void {
  let askedAt: number | undefined;
  const ask = (signal: StopSignal): void => {
    const now = performance.now();
    if (askedAt === undefined) {
      askedAt = now;
      stop(signal);
    } else if (now - askedAt > SAME_SIGNAL_MS) insist(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => ask(signal));
  if (underPackageManager) whenPackageManagerDies(() => ask('SIGTERM'));
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
    found.push(identify(pid));
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
