import type { RedisClient } from '@spillway/redis';
import { LimiterUnavailableError } from '../../errors.ts';
import type { LimiterMetrics } from '../../metrics/metrics.ts';
import type { Decision } from '../../types.ts';
import type { LimiterStore, StoreRequest } from '../store.ts';
import { acrossShards } from './across-shards.ts';
import { deadline } from './deadline.ts';
import { decisions } from './decisions.ts';
import { deniedCounter } from './denied-counter.ts';
import { nearLimitReporter } from './near-limit-reporter.ts';
import { type LimiterScripts, limiterScripts } from './scripts.ts';

/** What {@link redisStore} needs. */
export interface RedisStoreOptions {
  readonly client: RedisClient;
  readonly deadlineMs: number;
  /** Most events that may wait in a shard's outbox. */
  readonly outboxCap: number;
  /** Other scripts than the shipped ones: tests bring their own clock. */
  readonly scripts?: LimiterScripts;
  readonly metrics?: LimiterMetrics | undefined;
}

/** Sent as blocked-until in place of `Infinity`: the largest number that 6 bytes hold. */
const BLOCK_FOREVER = 2 ** 48 - 1;

/** Bytes a unit takes in a sliding log. */
const LOG_UNIT = 4;

const REPORT_MS = 1_000;

/** Windows in Redis, decided by decide-log.lua and decide.lua a batch at a time. */
export function redisStore(options: RedisStoreOptions): LimiterStore {
  const { client, deadlineMs, outboxCap, scripts = limiterScripts(), metrics } = options;
  const within = deadline(client, deadlineMs);
  const denied = deniedCounter({ client, script: scripts.countDenied, outboxCap, intervalMs: REPORT_MS });
  const nearLimit = nearLimitReporter({
    client,
    script: scripts.nearLimit,
    outboxCap,
    intervalMs: REPORT_MS,
    onDropped: (count) => metrics?.dropped?.(count),
  });
  const { decide, decideTogether, change } = decisions({ ...options, scripts, onRefusedWhileBlocked: denied.add });

  function bounded<Reply>(operation: string, work: () => Promise<Reply>): Promise<Reply> {
    return new Promise((resolve, reject) => {
      within.run(work, resolve, (cause) => reject(new LimiterUnavailableError(operation, deadlineMs, cause)));
    });
  }

  const reward = (request: StoreRequest): Promise<Decision> => change(request, 'reward');

  return {
    consume: (request) => decide(request, 'consume'),
    consumeAll: client.isCluster === true ? acrossShards({ consumeTogether: decideTogether, reward }) : decideTogether,
    peek: (request) => decide(request, 'peek'),
    charge: (request) => change(request, 'charge'),
    reward,
    renew: (request) => change(request, 'renew'),
    async reset(key) {
      // Not DEL: a block that ends early is part of the trail.
      await bounded('reset', () => scripts.unblock.run(client, [key], [outboxCap, 'reset']));
    },
    async block({ limit, windowMs, algorithm }, key, durationMs) {
      const duration = durationMs === Infinity ? 0 : durationMs;
      const args = [outboxCap, 'block', duration, limit, windowMs, algorithm === 'sliding-log' ? LOG_UNIT : 0];
      const until = await bounded('block', () => scripts.block.run(client, [key], args));
      return until === BLOCK_FOREVER ? Infinity : until;
    },
    unblock: (key) => bounded('unblock', () => scripts.unblock.run(client, [key], [outboxCap, 'unblock'])),
    nearLimit: nearLimit.add,
    close: async () => {
      await Promise.all([denied.close(), nearLimit.close()]);
    },
  };
}
