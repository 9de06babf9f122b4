import type { Queryable } from '@spillway/db';
import { useRedis } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createAuditQueue } from '../queue/audit-queue.ts';
import { startWorker } from '../start-worker.ts';
import { addBlocks, outboxLength } from '../../test/block-entries.ts';
import { useMigratedPostgres } from '../../test/migrated.ts';
import { recordingLogger } from '../../test/recording-logger.ts';

const HOUR_MS = 3_600_000;
const redis = useRedis();
const postgres = useMigratedPostgres();
const rows = async (): Promise<number | null> => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;

it('while Postgres is away for an hour no job fails and none uses up an attempt, and the backlog drains by itself after', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
  const back = Date.now() + HOUR_MS;
  let refused = 0;
  /** Each refusal is a second of the clock, which is how long the sink rests by default. */
  const pool: Queryable = {
    async query(text, values) {
      if (Date.now() >= back) return postgres.pool.query(text, values);
      refused += 1;
      vi.setSystemTime(Date.now() + 1_000);
      throw Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' });
    },
  };
  await addBlocks(redis.client, 1, 2_000, 1);
  const worker = startWorker({
    redis: redis.url,
    pool,
    shards: 1,
    logger: recordingLogger(),
    pump: { batchSize: 100, lingerMs: 20, maxWaitingJobs: 5 },
    sink: { unavailableDelayMs: 1 },
  });
  onTestFinished(async () => {
    vi.useRealTimers();
    await worker.close();
    await queue.close();
  });

  await expect.poll(() => refused, { timeout: 60_000 }).toBeGreaterThan(1_800);
  expect(await queue.getFailedCount()).toBe(0);
  // The outbox holds what the queue is too full for.
  expect(await outboxLength(redis.client, 1)).toBeGreaterThan(0);
  expect(await queue.getWaitingCount()).toBeLessThan(20);
  for (const job of await queue.getJobs(['waiting', 'active', 'delayed'])) expect(job.attemptsMade).toBe(0);

  await expect.poll(rows, { timeout: 60_000 }).toBe(2_000);
  // Each poll here also moves the clock a little.
  expect(refused).toBeGreaterThan(3_500);
  await expect.poll(() => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'failed')).toBe(0);
  expect(await outboxLength(redis.client, 1)).toBe(0);
  const attempts = (await queue.getCompleted()).map(({ attemptsMade }) => attemptsMade);
  expect(new Set(attempts)).toEqual(new Set([1]));
}, 120_000);
