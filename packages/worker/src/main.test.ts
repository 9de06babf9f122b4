import { startPgBouncer } from '@spillway/local-servers';
import { compiled, startProgram, useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { expect, it, onTestFinished } from 'vitest';
import { PUMP_GROUP } from './pump/outbox-reader.ts';
import { createAuditQueue } from './queue/audit-queue.ts';
import { startWorker } from './start-worker.ts';
import { addBlocks, outboxLength } from '../test/block-entries.ts';
import { useMigratedPostgres } from '../test/migrated.ts';
import { recordingLogger } from '../test/recording-logger.ts';

const SHARDS = 4;
const redis = useRedis();
const postgres = useMigratedPostgres();
const main = await compiled(new URL('main.ts', import.meta.url));
const worker = () =>
  startProgram(main, { REDIS_URL: redis.url, DATABASE_URL: postgres.url, SPILLWAY_SHARDS: String(SHARDS) });

async function rows(): Promise<number> {
  const result = await postgres.pool.query<{ n: string }>('SELECT count(*) AS n FROM rate_limits_v2');
  return Number(result.rows[0]?.n);
}

it('stores through a PgBouncer in transaction mode when it is told of one', async () => {
  const pooler = await startPgBouncer({ databaseUrl: postgres.url });
  onTestFinished(() => pooler.stop());
  await addBlocks(redis.client, 1, 10, SHARDS);
  startProgram(main, {
    REDIS_URL: redis.url,
    DATABASE_URL: pooler.url,
    DATABASE_SERVER: 'pgbouncer',
    SPILLWAY_SHARDS: String(SHARDS),
  });
  await expect.poll(rows, { timeout: 20_000 }).toBe(10);
});

it('ends with 0 on SIGTERM and leaves nothing that it read behind', async () => {
  await addBlocks(redis.client, 1, 10, SHARDS);
  const { child, exited } = worker();
  await expect.poll(rows, { timeout: 20_000 }).toBe(10);
  await addBlocks(redis.client, 11, 1_500, SHARDS);
  child.kill('SIGTERM');
  const code = await exited;
  expect(code).toBe(0);
  for (let shard = 0; shard < SHARDS; shard += 1) {
    const { stream } = outboxKeys(shard);
    expect((await redis.client.xpending(stream, PUMP_GROUP))[0]).toBe(0);
    expect(await redis.client.xinfo('CONSUMERS', stream, PUMP_GROUP)).toEqual([]);
  }
  const queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
  const waiting = (await queue.getJobs(['waiting'])).reduce((sum, job) => sum + job.data.entries.length, 0);
  expect(await queue.getActiveCount()).toBe(0);
  expect((await outboxLength(redis.client, SHARDS)) + waiting + (await rows())).toBe(1_500);
  await queue.close();

  const next = startWorker({ redis: redis.url, pool: postgres.pool, shards: SHARDS, logger: recordingLogger() });
  await expect.poll(rows, { timeout: 10_000 }).toBe(1_500);
  await next.close();
});

it('loses and doubles nothing when it is killed', async () => {
  const logger = recordingLogger();
  const { child, exited } = worker();
  await addBlocks(redis.client, 1, 3_000, SHARDS);
  await expect.poll(rows, { timeout: 20_000, interval: 1 }).toBeGreaterThan(0);
  child.kill('SIGKILL');
  await exited;
  const pump = { claimIdleMs: 50 };
  const next = startWorker({ redis: redis.url, pool: postgres.pool, shards: SHARDS, logger, pump });
  // A job that the dead process had begun is free again when its lock runs out.
  await expect.poll(rows, { timeout: 45_000 }).toBe(3_000);
  await expect.poll(() => outboxLength(redis.client, SHARDS)).toBe(0);
  await next.close();
}, 90_000);

it('says which variable is wrong and ends with 1', async () => {
  const { exited, output } = startProgram(main, { REDIS_URL: redis.url });
  expect(await exited).toBe(1);
  expect(output()).toBe('DATABASE_URL must be a postgres:// URL, but is not set\n');
});
