import type { Queryable } from '@spillway/db';
import { type RedisServer, startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AuditWorker, startWorker } from '../start-worker.ts';
import { addBlocks, outboxLength } from '../../test/block-entries.ts';
import { useMigratedPostgres } from '../../test/migrated.ts';
import { recordingLogger } from '../../test/recording-logger.ts';
import { type AuditQueue, createAuditQueue } from './audit-queue.ts';

const SHARDS = 2;
const postgres = useMigratedPostgres();
const patient = { timeout: 30_000 };
let server: RedisServer;
let redis: Redis;
let queue: AuditQueue;
let worker: AuditWorker | undefined;
let logger: ReturnType<typeof recordingLogger>;

beforeEach(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { maxRetriesPerRequest: null });
  redis.on('error', () => {});
  queue = createAuditQueue({ connection: redis, onError: () => {} });
  logger = recordingLogger();
});

afterEach(async () => {
  await worker?.close();
  await queue.close();
  redis.disconnect();
  await server.stop();
});

const fill = async (): Promise<void> =>
  void (await redis.config('SET', 'maxmemory', '1', 'maxmemory-policy', 'noeviction'));
const rows = async (): Promise<number | null> => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;
const start = (pool: Queryable): void => {
  const pump = { batchSize: 100, lingerMs: 10, maxWaitingJobs: 4, claimIdleMs: 50 };
  const sink = { unavailableDelayMs: 50, lockMs: 1_000 };
  worker = startWorker({ redis: server.url, pool, shards: SHARDS, logger, pump, sink });
};

describe('a Redis at maxmemory', () => {
  it('gives up a backlog that no worker ever looked at, without anything being changed at Redis', async () => {
    await addBlocks(redis, 1, 3_000, SHARDS);
    await fill();
    const startedAt = performance.now();
    start(postgres.pool);
    await expect.poll(rows, patient).toBe(3_000);
    await expect.poll(() => outboxLength(redis, SHARDS), patient).toBe(0);
    const seconds = Math.ceil((performance.now() - startedAt) / 1_000);
    expect(logger.messages.length).toBeLessThan(10 * seconds);
    expect(logger.messages.filter((message) => message.includes('maxmemory'))).toHaveLength(1);
  });

  it('gives up the jobs that wait in the queue too, and none uses up an attempt', async () => {
    let isAway = true;
    const pool: Queryable = {
      async query(text, values) {
        if (!isAway) return postgres.pool.query(text, values);
        throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
      },
    };
    await addBlocks(redis, 1, 2_000, SHARDS);
    start(pool);
    await expect.poll(() => queue.getJobCountByTypes('waiting', 'active'), patient).toBeGreaterThan(3);
    await fill();
    await expect.poll(() => logger.messages.join('\n'), patient).toContain('maxmemory');
    for (const job of await queue.getJobs(['waiting', 'active', 'delayed'])) expect(job.attemptsMade).toBe(0);
    isAway = false;
    await expect.poll(rows, patient).toBe(2_000);
    await expect.poll(() => outboxLength(redis, SHARDS), patient).toBe(0);
    await expect.poll(() => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'failed'), patient).toBe(0);
  });

  it('is left to the queue again when it has room', async () => {
    await fill();
    start(postgres.pool);
    await redis.config('SET', 'maxmemory', '0');
    await addBlocks(redis, 1, 100, SHARDS);
    await expect.poll(() => queue.getCompletedCount(), patient).toBeGreaterThan(0);
    await expect.poll(rows, patient).toBe(100);
  });
});
