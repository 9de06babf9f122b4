import { documentedRedisUser, useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { afterEach, expect, it, onTestFinished } from 'vitest';
import { createAuditQueue } from './queue/audit-queue.ts';
import { reconcile } from './reconcile/reconcile.ts';
import { startMaintenance } from './start-maintenance.ts';
import { startWorker } from './start-worker.ts';
import { emitBlocks, outboxLength } from '../test/block-entries.ts';
import { useMigratedPostgres } from '../test/migrated.ts';
import { recordingLogger } from '../test/recording-logger.ts';

const SHARDS = 2;
const patient = { timeout: 20_000 };
const redis = useRedis();
const postgres = useMigratedPostgres();
afterEach(async () => void (await redis.client.call('ACL', 'DELUSER', 'worker')));

it('a worker needs no more rights in Redis than the documented ACL rule gives', async () => {
  await redis.client.call('ACL', 'SETUSER', 'worker', ...(await documentedRedisUser('worker', '')));
  await redis.client.call('ACL', 'LOG', 'RESET');
  const url = new URL(redis.url);
  url.username = 'worker';
  url.password = 'pw';
  const logger = recordingLogger();
  const shared = { redis: url.href, pool: postgres.pool, shards: SHARDS, logger };
  const http = { host: '127.0.0.1', port: 0 };
  await emitBlocks(redis.client, 0, 1, 50);
  const maintenance = await startMaintenance({ ...shared, http, observeIntervalMs: 50 });
  const worker = startWorker({ ...shared, pump: { lingerMs: 10, claimIdleMs: 50 } });
  const client = redis.connect({ username: 'worker', password: 'pw', maxRetriesPerRequest: null });
  const queue = createAuditQueue({ connection: client, onError: () => {} });
  onTestFinished(async () => {
    await Promise.all([worker.close(), maintenance.close()]);
    await queue.close();
  });

  const stored = async () => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;
  await expect.poll(stored, patient).toBe(50);
  await emitBlocks(redis.client, 1, 1, 50);
  await expect.poll(stored, patient).toBe(100);
  await expect.poll(() => outboxLength(redis.client, SHARDS), patient).toBe(0);
  await expect.poll(async () => (await fetch(`${maintenance.url}/readyz`)).status, patient).toBe(200);
  await expect.poll(() => redis.client.hget(outboxKeys(1).head, 'run'), patient).not.toBeNull();
  expect(await reconcile({ redis: client, queue, pool: postgres.pool, shards: SHARDS })).toMatchObject({ missing: [] });
  expect(await redis.client.call('ACL', 'LOG')).toEqual([]);
  expect(logger.messages).toEqual([]);
});
