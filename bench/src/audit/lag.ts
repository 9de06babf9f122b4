import { setTimeout as delay } from 'node:timers/promises';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { startWorker } from '@spillway/worker';
import { Redis } from 'ioredis';
import { type Effort, quantile } from '../section.ts';
import { type Servers, SHARDS, silent } from './servers.ts';

/** How long after its block a row could be read. */
export interface Lag {
  readonly blocksPerSecond: number;
  readonly blocks: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const BLOCKS_PER_SECOND = 1_000;
const SECONDS = 10;
const TICK_MS = 10;

/** Blocks a thousand subjects a second through the limiter while a worker runs; Postgres knows when each row was committed. */
export async function lag({ redisUrl, pool, clear }: Servers, effort: Effort): Promise<Lag> {
  await clear();
  const client = new Redis(redisUrl, hotPathOptions);
  const policy = definePolicy({ name: 'lag', limit: 1, windowMs: 3_600_000, blockMs: 3_600_000 });
  const limiter = createLimiter({ redis: client, policies: [policy], shards: SHARDS, deadlineMs: 5_000 });
  const worker = startWorker({
    redis: redisUrl,
    pool,
    shards: SHARDS,
    logger: silent,
    sink: { blockRowsPerMinute: null },
  });
  await limiter.consume('lag', 'warm-up');

  const blocks = BLOCKS_PER_SECOND * effort.amount(SECONDS);
  const startedAt = performance.now();
  const pending: Promise<unknown>[] = [];
  for (let user = 0; user < blocks;) {
    const due = Math.min(blocks, ((performance.now() - startedAt) * BLOCKS_PER_SECOND) / 1_000);
    for (; user < due; user += 1)
      pending.push(limiter.consume('lag', `user-${user}`), limiter.consume('lag', `user-${user}`));
    await delay(TICK_MS);
  }
  await Promise.all(pending);
  const lags = await committed(pool, blocks);
  await worker.close();
  await limiter.close();
  client.disconnect();
  return {
    blocksPerSecond: BLOCKS_PER_SECOND,
    blocks,
    p50Ms: quantile(lags, 0.5),
    p99Ms: quantile(lags, 0.99),
    maxMs: Math.max(...lags),
  };
}

async function committed(pool: Servers['pool'], blocks: number): Promise<number[]> {
  for (;;) {
    const { rows } = await pool.query<{ lag: number }>(
      `SELECT (extract(epoch FROM pg_xact_commit_timestamp(xmin) - created_at) * 1000)::float8 AS lag FROM rate_limits_v2`,
    );
    if (rows.length >= blocks) return rows.map((row) => row.lag);
    await delay(500);
  }
}
