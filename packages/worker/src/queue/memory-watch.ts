import type { WorkerLogger } from '../logger.ts';

/** Without a refusal for this long, Redis has room again. */
const CALM_MS = 5_000;

/** Whether an error is Redis' refusal of a command for lack of memory (`maxmemory` with `noeviction`). */
export function isOutOfMemory(error: unknown): error is Error {
  return error instanceof Error && /\bOOM command not allowed/u.test(error.message);
}

/**
 * Remembers whether Redis refuses what needs memory. At `maxmemory` BullMQ's scripts are refused, so that a queue can't be
 * emptied through the queue: `startDrain` does it while this says so. One line of log when it begins, one when it ends.
 */
export class MemoryWatch {
  readonly #logger: WorkerLogger;
  #refusedAt = -Infinity;
  #full = false;

  constructor(logger: WorkerLogger) {
    this.#logger = logger;
  }

  /** Takes note of an error; true when it says that Redis is full. */
  sees(error: unknown): error is Error {
    if (!isOutOfMemory(error)) return false;
    this.#refusedAt = performance.now();
    if (!this.#full) {
      this.#full = true;
      this.#logger.error(
        { err: error },
        'worker: Redis is at maxmemory and refuses jobs, events go from the outbox straight to Postgres',
      );
    }
    return true;
  }

  /** Whether Redis refused something in the last 5 seconds. */
  isFull(): boolean {
    if (this.#full && performance.now() - this.#refusedAt > CALM_MS) {
      this.#full = false;
      this.#logger.info('worker: Redis has room for jobs again');
    }
    return this.#full;
  }
}
