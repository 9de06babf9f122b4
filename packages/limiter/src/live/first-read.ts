/** Holds decisions back until the live entries have been read for the first time, once and for a bounded time. */
export interface FirstRead {
  /** Nothing is held back any more. */
  readonly isOver: boolean;
  /** Resolves when it is over: at most `deadlineMs` after the first call. */
  wait(): Promise<void>;
  /**
   * When requests that travel now began, by `performance.now()`: while those that waited are on their way, when the first of
   * them came, so that the wait is part of their deadline.
   */
  startedAt(): number;
}

/**
 * Makes a {@link FirstRead}. A process that has just started knows no list, no block of everything and no override: its first
 * decisions would admit a subject that is refused everywhere else.
 * @param read settles when the entries have been read, or could not be
 */
export function firstRead(read: Promise<unknown>, deadlineMs: number): FirstRead {
  let isOver = false;
  let cameAtMs: number | undefined;
  let over: Promise<void> | undefined;
  const end = (): void => {
    isOver = true;
  };
  read.then(end, end);

  async function waitOnce(): Promise<void> {
    cameAtMs = performance.now();
    let timer: NodeJS.Timeout | undefined;
    const time = new Promise<void>((resolve) => (timer = setTimeout(resolve, deadlineMs)));
    await Promise.race([read, time]).catch(end);
    clearTimeout(timer);
    isOver = true;
    // Batches leave until the end of this turn.
    setImmediate(() => setImmediate(() => (cameAtMs = undefined)));
  }

  return {
    get isOver() {
      return isOver;
    },
    wait: () => (over ??= waitOnce()),
    startedAt: () => cameAtMs ?? performance.now(),
  };
}
