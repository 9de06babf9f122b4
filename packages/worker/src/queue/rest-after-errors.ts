/** What is needed of a BullMQ worker. */
export interface RestingWorker {
  readonly closing: Promise<void> | undefined;
  on(event: 'error', listener: (error: Error) => void): unknown;
  pause(doNotWaitActive: boolean): Promise<void>;
  resume(): Promise<void>;
}

/**
 * Makes a BullMQ worker rest after an error of its loop. The library rests after a lost connection only: what Redis answers
 * with an error (no memory, no rights, no disk) it would ask for again at once, thousands of times a second.
 */
export function restAfterErrors(worker: RestingWorker, restMs: number): { rest(): void } {
  let timer: NodeJS.Timeout | undefined;
  const rest = (): void => {
    if (timer !== undefined) return;
    // In this process only, without waiting for jobs and without a word to Redis.
    void worker.pause(true);
    timer = setTimeout(() => {
      timer = undefined;
      if (worker.closing === undefined) void worker.resume();
    }, restMs);
    timer.unref();
  };
  worker.on('error', rest);
  return { rest };
}
