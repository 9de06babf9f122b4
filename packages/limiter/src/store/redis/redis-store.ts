import type { RedisClient } from '@spillway/redis';
import { LimiterUnavailableError } from '../../errors.ts';
import type { LimiterStore } from '../store.ts';
import { batcher } from './batcher.ts';
import { deadlines } from './deadline.ts';
import { deniedCounter } from './denied-counter.ts';
import { fallback } from './fallback.ts';
import { type LimiterScripts, limiterScripts } from './scripts.ts';

/** What {@link redisStore} needs. */
export interface RedisStoreOptions {
  readonly client: RedisClient;
  readonly deadlineMs: number;
  /** Most events that may wait in a shard's outbox. */
  readonly outboxCap: number;
  /** Other scripts than the shipped ones: tests bring their own clock. */
  readonly scripts?: LimiterScripts;
  /** Local windows kept at most for policies that decide here while Redis is away. @default 100_000 */
  readonly maxLocalWindows?: number;
}

/** Sent as blocked-until in place of `Infinity`: the largest number that 6 bytes hold. */
const BLOCK_FOREVER = 2 ** 48 - 1;

const DENIED_REPORT_MS = 1_000;

/** Windows in Redis, decided by sliding-log.lua a batch at a time. */
export function redisStore(options: RedisStoreOptions): LimiterStore {
  const { client, deadlineMs, outboxCap, scripts = limiterScripts(), maxLocalWindows = 100_000 } = options;
  const within = deadlines(client, deadlineMs);
  const inPlace = fallback({ client, outboxCap, maxWindows: maxLocalWindows });
  const denied = deniedCounter({ client, script: scripts.countDenied, outboxCap, intervalMs: DENIED_REPORT_MS });
  const { decide } = batcher({
    client,
    script: scripts.decide,
    within,
    fallback: inPlace,
    outboxCap,
    onRefusedWhileBlocked: denied.add,
  });

  function bounded<Reply>(operation: string, key: string, work: () => Promise<Reply>): Promise<Reply> {
    return new Promise((resolve, reject) => {
      within(key).run(work, resolve, (cause) => reject(new LimiterUnavailableError(operation, deadlineMs, cause)));
    });
  }

  return {
    consume: (request) => decide(request, false),
    peek: (request) => decide(request, true),
    async reset(key) {
      // Not DEL: a block that ends early is part of the trail.
      await bounded('reset', key, () => scripts.unblock.run(client, [key], [outboxCap, 'reset']));
    },
    async block({ limit, windowMs }, key, durationMs) {
      const duration = durationMs === Infinity ? 0 : durationMs;
      const args = [outboxCap, 'block', duration, limit, windowMs];
      const until = await bounded('block', key, () => scripts.block.run(client, [key], args));
      return until === BLOCK_FOREVER ? Infinity : until;
    },
    unblock: (key) => bounded('unblock', key, () => scripts.unblock.run(client, [key], [outboxCap, 'unblock'])),
    async close() {
      await Promise.all([denied.close(), inPlace.close()]);
    },
  };
}
