import { setTimeout as delay } from 'node:timers/promises';
import type { WorkerLogger } from './logger.ts';

/** One step of a shutdown. */
export interface ShutdownStep {
  readonly name: string;
  readonly finish: () => Promise<unknown>;
  /** On the clock of `performance.now()`. */
  readonly end: number;
}

/** Takes the step, or goes on without it when its time is over. Never rejects. */
export async function runShutdownStep({ name, finish, end }: ShutdownStep, logger: WorkerLogger): Promise<void> {
  const timer = new AbortController();
  const timeout = delay(Math.max(1, end - performance.now()), 'late', { signal: timer.signal, ref: false }).catch(
    () => '',
  );
  try {
    const outcome = await Promise.race([finish(), timeout]);
    if (outcome === 'late') logger.error({ step: name }, 'worker: not finished in time, left for the next worker');
  } catch (error) {
    logger.error({ err: error, step: name }, 'worker: a step of the shutdown failed');
  } finally {
    timer.abort();
  }
}
