import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks until the answer is yes or time is up, waiting a little longer between tries each time (5 to 50 ms).
 * The timer keeps the event loop alive, which handles of guarded servers on purpose do not.
 *
 * @returns whether the answer was yes before `deadlineMs` passed
 */
export async function pollUntil(ask: () => boolean | Promise<boolean>, deadlineMs: number): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  for (let waitMs = 5; ; waitMs = Math.min(50, waitMs * 1.5)) {
    // eslint-disable-next-line no-await-in-loop -- each try depends on the one before
    if (await ask()) return true;
    if (performance.now() >= end) return false;
    // eslint-disable-next-line no-await-in-loop -- the pause between tries
    await delay(waitMs);
  }
}
