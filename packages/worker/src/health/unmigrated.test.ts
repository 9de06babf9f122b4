import { usePostgres, useRedis } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished } from 'vitest';
import { startMaintenance } from '../start-maintenance.ts';
import { startWorker } from '../start-worker.ts';
import { addBlocks } from '../../test/block-entries.ts';
import { recordingLogger } from '../../test/recording-logger.ts';

const redis = useRedis();
const postgres = usePostgres({ scope: 'test' });

it('a worker on a database that is not migrated is not ready, and says once what to do', async () => {
  const logger = recordingLogger();
  const shared = { redis: redis.url, pool: postgres.pool, shards: 1, logger };
  await addBlocks(redis.client, 1, 3, 1);
  const http = { host: '127.0.0.1', port: 0 };
  const maintenance = await startMaintenance({ ...shared, http, observeIntervalMs: 50 });
  const worker = startWorker({ ...shared, sink: { unavailableDelayMs: 20 }, pump: { lingerMs: 10 } });
  onTestFinished(async () => void (await Promise.all([worker.close(), maintenance.close()])));
  const readiness = async (): Promise<unknown> => (await fetch(`${maintenance.url}/readyz`)).json();
  const reason = 'the database is not migrated: run spillway migrate';
  await expect.poll(readiness, { timeout: 15_000 }).toMatchObject({ ready: false, reasons: [reason] });
  await expect.poll(() => logger.messages, { timeout: 15_000 }).toContain(`worker: ${reason}`);
  expect(logger.messages.filter((message) => message.includes('migrate'))).toHaveLength(1);
});
