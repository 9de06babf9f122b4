import { createPool, migrate } from '@spillway/db';
import { startPostgres, startRedis } from '@spillway/local-servers';
import { compiled, type Program, startProgram, useRedis } from '@spillway/local-servers/testing';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { createAuditQueue } from './queue/audit-queue.ts';
import { startWorker } from './start-worker.ts';
import { addBlocks, outboxLength } from '../test/block-entries.ts';
import { useMigratedPostgres } from '../test/migrated.ts';
import { recordingLogger } from '../test/recording-logger.ts';

const SHARDS = 2;
const main = await compiled(new URL('main.ts', import.meta.url));
const redis = useRedis();
const postgres = useMigratedPostgres();

/** The worker's process, with two seconds to shut down. */
function run(redisUrl: string, databaseUrl: string): Program {
  return startProgram(main, {
    REDIS_URL: redisUrl,
    DATABASE_URL: databaseUrl,
    SPILLWAY_SHARDS: String(SHARDS),
    SPILLWAY_SHUTDOWN_TIMEOUT_MS: '2000',
  });
}

/** SIGTERM, and the code with which the process ends. Past its deadline it would end with 1. */
async function terminate({ child, exited }: Program): Promise<number | null> {
  child.kill('SIGTERM');
  return exited;
}

it('ends in time on SIGTERM though Redis is dead, and what it had taken is stored by the next worker', async () => {
  const server = await startRedis({ appendOnly: true });
  onTestFinished(() => server.stop());
  const client = new Redis(server.url, { maxRetriesPerRequest: null });
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  const worker = run(server.url, postgres.url);
  await addBlocks(client, 1, 10, SHARDS);
  const rows = async (): Promise<number | null> => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;
  await expect.poll(rows, { timeout: 20_000 }).toBe(10);
  await addBlocks(client, 11, 3_000, SHARDS);
  await server.kill();
  expect(await terminate(worker)).toBe(0);
  expect(worker.output()).toContain('worker: stopped');

  await server.restart();
  const next = startWorker({ redis: server.url, pool: postgres.pool, shards: SHARDS, logger: recordingLogger() });
  await expect.poll(rows, { timeout: 30_000 }).toBe(3_000);
  await expect.poll(() => outboxLength(client, SHARDS), { timeout: 30_000 }).toBe(0);
  await next.close();
}, 90_000);

it('ends in time on SIGTERM though Postgres hangs, and no job fails', async () => {
  const server = await startPostgres();
  onTestFinished(() => server.stop());
  await migrate({ connectionString: server.url });
  const pool = createPool({ connectionString: server.url, onError: () => {} });
  onTestFinished(() => pool.end());
  const queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
  onTestFinished(() => queue.close());
  const worker = run(redis.url, server.url);
  await addBlocks(redis.client, 1, 10, SHARDS);
  const rows = async (): Promise<number | null> => (await pool.query('SELECT FROM rate_limits_v2')).rowCount;
  await expect.poll(rows, { timeout: 20_000 }).toBe(10);
  await server.pause();
  await addBlocks(redis.client, 11, 1_000, SHARDS);
  await expect.poll(() => queue.getActiveCount(), { timeout: 10_000 }).toBeGreaterThan(0);
  expect(await terminate(worker)).toBe(0);
  expect(worker.output()).toContain('worker: stopped');

  await server.resume();
  const next = startWorker({ redis: redis.url, pool, shards: SHARDS, logger: recordingLogger() });
  await expect.poll(rows, { timeout: 30_000 }).toBe(1_000);
  expect(await queue.getFailedCount()).toBe(0);
  await next.close();
}, 90_000);
