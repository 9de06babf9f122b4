import type { RedisClient } from '@spillway/redis';
import { Availability } from './availability.ts';

/** Gives work a time limit, and keeps it from a Redis that doesn't answer. */
export interface Deadline {
  /**
   * Runs `work` once Redis can take it. Exactly one of the two callbacks is called, once, at most `deadlineMs` (and a
   * turn of the event loop) later. What the work does after that is ignored.
   */
  run<Reply>(work: () => Promise<Reply>, onReply: (reply: Reply) => void, onFailure: (error?: unknown) => void): void;
}

/**
 * Makes a {@link Deadline} over one connection. Work that comes while Redis is away is not sent, so that an outage piles
 * up neither commands in memory nor decisions that Redis would carry out long after. It waits within its deadline; once
 * the outage is old it fails at once.
 */
export function deadline(client: RedisClient, deadlineMs: number): Deadline {
  const availability = new Availability(client, deadlineMs);
  return {
    run(work, onReply, onFailure) {
      if (availability.isAway && availability.isHopeless()) {
        onFailure();
        return;
      }
      let state: 'waiting' | 'sent' | 'late' | 'done' = 'waiting';
      const expire = (): void => {
        if (state === 'waiting') availability.forget(start);
        else if (state === 'sent') availability.lateBegins();
        else return;
        state = state === 'sent' ? 'late' : 'done';
        onFailure();
      };
      // Timers run before sockets are read: after a blocked event loop the reply may be there already, so it gets one
      // turn to be seen before the time counts as up.
      const timer = setTimeout(() => setImmediate(expire), deadlineMs);
      const settle = (inTime: () => void): void => {
        const wasLate = state === 'late';
        state = 'done';
        if (wasLate) {
          availability.lateEnds();
          return;
        }
        clearTimeout(timer);
        inTime();
      };
      const start = (): void => {
        state = 'sent';
        work().then(
          (reply) => settle(() => onReply(reply)),
          (error: unknown) => settle(() => onFailure(error)),
        );
      };
      if (availability.isAway) availability.wait(start);
      else start();
    },
  };
}
