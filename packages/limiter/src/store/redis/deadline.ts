import type { RedisClient } from '@spillway/redis';

/** Gives work a time limit, and waits for the connection within it. */
export interface Deadline {
  /**
   * Runs `work` once the client is ready. Exactly one of the two callbacks is called, once, at most `deadlineMs` (and a
   * turn of the event loop) later. What the work does after that is ignored.
   */
  run<Reply>(work: () => Promise<Reply>, onReply: (reply: Reply) => void, onFailure: (error?: unknown) => void): void;
}

/**
 * Makes a {@link Deadline} over one connection. All who wait for a connection share one listener: fifty thousand
 * requests during an outage must not become fifty thousand listeners.
 */
export function deadline(client: RedisClient, deadlineMs: number): Deadline {
  let ready: Promise<void> | undefined;

  function whenReady(): Promise<void> {
    ready ??= new Promise((resolve) => {
      client.once('ready', () => {
        ready = undefined;
        resolve();
      });
    });
    return ready;
  }

  return {
    run(work, onReply, onFailure) {
      let waiting = true;
      const settle = (then: () => void): void => {
        if (!waiting) return;
        waiting = false;
        clearTimeout(timer);
        then();
      };
      // Timers run before sockets are read: after a blocked event loop the reply may be there already, so it gets one
      // turn to be seen before the time counts as up.
      const timer = setTimeout(() => setImmediate(() => settle(onFailure)), deadlineMs);
      const start = (): void => {
        if (!waiting) return;
        work().then(
          (reply) => settle(() => onReply(reply)),
          (error: unknown) => settle(() => onFailure(error)),
        );
      };
      if (client.status === 'ready') start();
      else void whenReady().then(start);
    },
  };
}
