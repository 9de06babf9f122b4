import type { RedisClient } from '@spillway/redis';
import { Availability } from './availability.ts';
import { isReplyError } from './reply-errors.ts';
import { ReadyBell } from './ready-bell.ts';

/** Gives work a time limit, and keeps it from a Redis that doesn't answer. */
export interface Deadline {
  /**
   * Runs `work` once Redis can take it. Exactly one of the two callbacks is called, once, at most `deadlineMs` (and a
   * turn of the event loop) after `startedAt`, a time of `performance.now()` (by default now). What the work does after
   * that is ignored.
   */
  run<Reply>(
    work: () => Promise<Reply>,
    onReply: (reply: Reply) => void,
    onFailure: (error?: unknown) => void,
    startedAt?: number,
  ): void;
}

/**
 * Makes a {@link Deadline} for each key over one connection. In a Cluster each shard has its own, so that a frozen master
 * keeps only its own shards' work waiting.
 */
export function deadlines(client: RedisClient, deadlineMs: number): (key: string) => Deadline {
  const bell = new ReadyBell(client);
  if (client.isCluster !== true) {
    const only = deadline(bell, deadlineMs);
    return () => only;
  }
  const byTag = new Map<string, Deadline>();
  return (key) => {
    const tag = key.slice(0, key.indexOf('}'));
    const known = byTag.get(tag);
    if (known !== undefined) return known;
    const made = deadline(bell, deadlineMs);
    byTag.set(tag, made);
    return made;
  };
}

/**
 * Makes a {@link Deadline}. Work that comes while Redis is away is not sent, so that an outage piles up neither commands in
 * memory nor decisions that Redis would carry out long after. It waits within its deadline; once the outage is old it
 * fails at once.
 */
export function deadline(bell: ReadyBell, deadlineMs: number): Deadline {
  const availability = new Availability(bell, deadlineMs);
  return {
    run(work, onReply, onFailure, startedAt) {
      const away = availability.isAway;
      const mustWait = away && !availability.takeProbe();
      if (mustWait && availability.isHopeless()) {
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
      const leftMs = startedAt === undefined ? deadlineMs : deadlineMs - (performance.now() - startedAt);
      // Timers run before sockets are read: after a blocked event loop the reply may be there already, so it gets one
      // turn to be seen before the time counts as up.
      const timer = setTimeout(() => setImmediate(expire), Math.max(1, leftMs));
      const settle = (answered: boolean, inTime: () => void): void => {
        const wasLate = state === 'late';
        state = 'done';
        availability.settled(wasLate, answered);
        if (wasLate) return;
        clearTimeout(timer);
        inTime();
      };
      const start = (): void => {
        state = 'sent';
        work().then(
          (reply) => settle(true, () => onReply(reply)),
          (error: unknown) => settle(isReplyError(error), () => onFailure(error)),
        );
      };
      if (mustWait) availability.wait(start);
      else start();
    },
  };
}
