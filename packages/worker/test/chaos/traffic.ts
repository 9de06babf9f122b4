import { setTimeout as delay } from 'node:timers/promises';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';

/** Requests under way at once. */
const IN_FLIGHT = 64;

/** Pause of each loop between two users, in ms: spreads the events over the faults. */
const PAUSE_MS = 30;

/** An application that gets its users blocked. */
export interface Traffic {
  /** Users whose block the limiter told the application of. */
  readonly acknowledged: ReadonlySet<string>;
  /** How many requests no Redis answered. */
  readonly unanswered: () => number;
  /** Lets it go on, without pauses, until at least so many users are blocked, and resolves when all are that were begun. */
  finish(atLeast: number): Promise<void>;
}

/**
 * Gets users `user-1`, `user-2` and so on blocked, each once, and goes on asking for a user until Redis has answered: so all
 * are acknowledged in the end, and a block whose answer was lost is not a second one.
 */
export function startTraffic(redisUrl: string, shards: number): Traffic {
  const client = new Redis(redisUrl, hotPathOptions);
  client.on('error', () => {});
  const hour = 3_600_000;
  const policy = definePolicy({ name: 'chaos', limit: 1, windowMs: hour, blockMs: hour, onUnavailable: 'closed' });
  const limiter = createLimiter({ redis: client, policies: [policy], shards, deadlineMs: 1_000 });
  const acknowledged = new Set<string>();
  let [next, unanswered, last] = [0, 0, Infinity];

  const block = async (user: string): Promise<void> => {
    for (;;) {
      const { allowed, reason } = await limiter.consume('chaos', user);
      if (reason === 'unavailable') {
        unanswered += 1;
        await delay(50);
      } else if (!allowed) {
        acknowledged.add(user);
        return;
      }
    }
  };
  const loop = async (): Promise<void> => {
    while (next < last) {
      next += 1;
      await block(`user-${next}`);
      if (last === Infinity) await delay(PAUSE_MS);
    }
  };
  const loops = Promise.all(Array.from({ length: IN_FLIGHT }, loop));
  return {
    acknowledged,
    unanswered: () => unanswered,
    async finish(atLeast) {
      last = atLeast;
      await loops;
      await limiter.close();
      client.disconnect();
    },
  };
}
