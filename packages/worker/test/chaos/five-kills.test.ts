import { useRedis } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished } from 'vitest';
import { WorkerFleet } from './worker-fleet.ts';
import { createAuditQueue } from '../../src/audit-queue.ts';
import { addBlocks, outboxLength } from '../entries.ts';
import { useMigratedPostgres } from '../helpers.ts';

const redis = useRedis();
const postgres = useMigratedPostgres();

it('outboxes whose worker is killed five times are emptied by the sixth', async () => {
  const queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
  // Locks of half a second; with the default each recovery takes seconds (bench/README.md).
  const workers = new WorkerFleet([redis.url, postgres.url, '1'], { lockMs: 500 });
  onTestFinished(async () => {
    await workers.stop();
    await queue.close();
  });
  await addBlocks(redis.client, 1, 3, 1);
  for (let kill = 1; kill <= 5; kill += 1) {
    expect(await workers.sacrifice(kill % 2 === 0 ? 'after-commit' : 'mid-insert', 0)).toBe('SIGKILL');
    // The dead worker held the only job, and its events are where they were.
    expect(await queue.getActiveCount()).toBe(1);
    expect(await outboxLength(redis.client, 1)).toBe(3);
  }
  workers.start();
  await expect.poll(() => outboxLength(redis.client, 1), { timeout: 20_000 }).toBe(0);
  await expect.poll(() => queue.getJobCountByTypes('waiting', 'active', 'delayed')).toBe(0);
  expect(await queue.getFailedCount()).toBe(0);
  expect((await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount).toBe(3);
}, 120_000);
