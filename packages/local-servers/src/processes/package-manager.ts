import { readFileSync } from 'node:fs';
import { identify, isRunning, parentOf, type ProcessIdentity } from './process-identity.ts';

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
