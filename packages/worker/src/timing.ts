import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster, Redis } from 'ioredis';
import type { WorkerLogger } from './logger.ts';

/** An answer that took too long. */
export class TimeoutError extends Error {
  readonly code = 'timeout';
  override readonly name = 'TimeoutError';
}

/** Whether Redis answered, and with an error. */
export function isReplyError(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** What `work` comes to, or a {@link TimeoutError} when it takes longer than `timeoutMs`; the work goes on by itself. */
export async function withTimeout<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(timeoutMs, null, { signal: timer.signal, ref: false }).then(() => {
    throw new TimeoutError(`no answer within ${timeoutMs} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    timer.abort();
    late.catch(() => {});
  }
}

/** Repeats until aborted, never two at once. Timers don't mind the wall clock. Never rejects. */
export async function repeat(intervalMs: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await work();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, intervalMs);
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
      if (signal.aborted) done();
      else signal.addEventListener('abort', done);
    });
  }
}

/** Redis' clock, in ms since 1970. */
export async function redisNowMs(redis: Pick<Redis | Cluster, 'time'>): Promise<number> {
  const [seconds = 0, micros = 0] = (await redis.time()).map(Number);
  return seconds * 1_000 + micros / 1_000;
}

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
