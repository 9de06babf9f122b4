import type { Queryable } from '@spillway/db';
import { useRedis } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createAuditQueue } from '../queue/audit-queue.ts';
import { startWorker } from '../start-worker.ts';
import { addBlocks } from '../../test/block-entries.ts';
import { useMigratedPostgres } from '../../test/migrated.ts';
import { recordingLogger } from '../../test/recording-logger.ts';

const redis = useRedis();
const postgres = useMigratedPostgres();
const rows = async (): Promise<number | null> => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;

it('a worker whose clock is two days ahead hides no failed job from the others, and uses up none of its attempts', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * 86_400_000 });
  const queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
  let refused = 0;
  let isBroken = true;
  /** A function is missing, as in the middle of a deployment. */
  const pool: Queryable = {
    async query(text, values) {
      if (!isBroken) return postgres.pool.query(text, values);
      refused += 1;
      throw Object.assign(new Error('function upsert_blocks does not exist'), { code: '42883' });
    },
  };
  await addBlocks(redis.client, 1, 10, 1);
  const sink = { unavailableDelayMs: 5 };
  const worker = startWorker({ redis: redis.url, pool, shards: 1, logger: recordingLogger(), sink });
  onTestFinished(async () => {
    vi.useRealTimers();
    await worker.close();
    await queue.close();
  });
  await expect.poll(() => refused, { timeout: 20_000 }).toBeGreaterThan(12);
  expect(await queue.getJobCountByTypes('delayed', 'failed')).toBe(0);
  isBroken = false;
  await expect.poll(rows, { timeout: 20_000 }).toBe(10);
});
