import { useRedis } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished } from 'vitest';
import { WorkerFleet } from './worker-fleet.ts';
import { createAuditQueue } from '../../src/audit-queue.ts';
import { addBlocks, outboxLength } from '../entries.ts';
import { useMigratedPostgres } from '../helpers.ts';

const redis = useRedis();
const postgres = useMigratedPostgres();

it('a job whose worker is killed five times is completed by the sixth', async () => {
  const queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
  // Locks of half a second; with the default each recovery takes seconds (bench/README.md).
  const workers = new WorkerFleet([redis.url, postgres.url, '1'], { lockMs: 500 });
  onTestFinished(async () => {
    await workers.stop();
    await queue.close();
  });
  await addBlocks(redis.client, 1, 3, 1);
  const job = await queue.add('events', { outboxes: [0] }, { deduplication: { id: 'outbox-0-of-1' } });
  for (let kill = 1; kill <= 5; kill += 1) {
    expect(await workers.sacrifice(kill % 2 === 0 ? 'after-commit' : 'mid-insert', 0)).toBe('SIGKILL');
    // It was this job that the dead worker held, and it isn't lost.
    expect(await job.getState()).toBe('active');
  }
  workers.start();
  await expect.poll(() => job.getState(), { timeout: 20_000 }).toBe('completed');
  expect((await queue.getJob(job.id ?? ''))?.stalledCounter).toBe(5);
  expect(await outboxLength(redis.client, 1)).toBe(0);
  expect(await queue.getFailedCount()).toBe(0);
  expect((await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount).toBe(3);
}, 60_000);
