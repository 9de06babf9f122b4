import { createPool, insertDeadLetter, migrate } from '@spillway/db';
import { useLogins, usePostgres, useRedis } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { afterEach, expect, it } from 'vitest';
import { reconcileJob, tableJobs } from './maintenance/maintenance-jobs.ts';
import { runJob } from './maintenance/run-job.ts';
import { createAuditQueue } from './queue/audit-queue.ts';
import { startMaintenance } from './start-maintenance.ts';
import { startWorker } from './start-worker.ts';
import { addBlocks } from '../test/block-entries.ts';
import { recordingLogger } from '../test/recording-logger.ts';

const SHARDS = 2;
const redis = useRedis();
const postgres = usePostgres({
  migrate: async (url) => {
    await migrate({ connectionString: url });
  },
  template: 'worker',
  scope: 'test',
});
const logins = useLogins();
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function poolOf(role: string): Promise<ReturnType<typeof createPool>> {
  const pool = createPool({ connectionString: await logins.create(postgres.url, role), onError: () => {}, max: 8 });
  closing.push(() => pool.end());
  return pool;
}

async function count(table: string): Promise<number> {
  return (await postgres.pool.query(`SELECT FROM ${table}`)).rowCount ?? 0;
}

it('stores blocks, outages and dead letters as the writer', async () => {
  const logger = recordingLogger();
  const worker = startWorker({
    redis: redis.url,
    pool: await poolOf('spillway_writer'),
    shards: SHARDS,
    logger,
    pump: { lingerMs: 20 },
  });
  closing.push(() => worker.close());
  await addBlocks(redis.client, 1, 30, SHARDS);
  await redis.client.xadd(outboxKeys(0).stream, '*', 'what', 'is this');
  await expect.poll(() => count('rate_limits_v2'), { timeout: 10_000 }).toBe(30);
  await expect.poll(() => count('spillway.audit_dead_letters'), { timeout: 10_000 }).toBe(1);
  // A second snapshot of each block: nothing new, and nothing refused.
  await addBlocks(redis.client, 1, 30, SHARDS);
  await expect.poll(() => redis.client.xlen(outboxKeys(1).stream), { timeout: 10_000 }).toBe(0);
  expect(logger.messages.filter((message) => message.startsWith('sink: a job failed'))).toEqual([]);
});

it('looks at itself, opens alerts and runs every job as maintenance', async () => {
  const pool = await poolOf('spillway_maintenance');
  const logger = recordingLogger();
  await insertDeadLetter(postgres.pool, {
    id: '00000000-0000-8000-8000-000000000001',
    sourceJob: 'audit/1',
    reason: 'r',
    payload: {},
  });
  const maintenance = await startMaintenance({
    redis: redis.url,
    pool,
    shards: SHARDS,
    logger,
    observeIntervalMs: 50,
  });
  closing.push(() => maintenance.close());
  await expect.poll(() => count('system_metrics'), { timeout: 10_000 }).toBeGreaterThan(0);
  await expect.poll(() => count('spillway.alerts'), { timeout: 10_000 }).toBeGreaterThan(0);
  const queue = createAuditQueue({ connection: redis.client, onError: () => {} });
  closing.push(() => queue.close());
  for (const job of [
    ...tableJobs({ pool, logger }),
    reconcileJob({ redis: redis.client, queue, pool, shards: SHARDS }),
  ]) {
    expect(await runJob({ pool, logger }, job)).toMatchObject({ job: job.name, status: 'completed' });
  }
  expect(logger.messages.filter((message) => message.includes('could not'))).toEqual([]);
});
