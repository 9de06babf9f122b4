import { EventEmitter, once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { migrate, type Queryable } from '@spillway/db';
import { type RedisServer, startRedis } from '@spillway/local-servers';
import { usePostgres } from '@spillway/local-servers/testing';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AuditQueue, createAuditQueue } from '../queue/audit-queue.ts';
import { type AuditWorker, startWorker } from '../start-worker.ts';
import { addBlocks } from '../../test/block-entries.ts';
import { recordingLogger } from '../../test/recording-logger.ts';

const patient = { timeout: 30_000 };
const postgres = usePostgres({ scope: 'test' });
let server: RedisServer;
let redis: Redis;
let queue: AuditQueue;
let worker: AuditWorker;
let logger: ReturnType<typeof recordingLogger>;

beforeEach(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { maxRetriesPerRequest: null });
  redis.on('error', () => {});
  queue = createAuditQueue({ connection: redis, onError: () => {} });
  logger = recordingLogger();
});
afterEach(async () => {
  await worker.close();
  await queue.close();
  redis.disconnect();
  await server.stop();
});

const rows = async (): Promise<number | null> => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;

function start(pool: Queryable = postgres.pool): void {
  const tuning = { pump: { lingerMs: 10, batchSize: 20 }, sink: { unavailableDelayMs: 50, lockMs: 1_000 } };
  worker = startWorker({ redis: server.url, pool, shards: 1, logger, ...tuning });
}

/** Every job is completed, and was attempted once. */
async function expectOneAttemptEach(jobs: number): Promise<void> {
  await expect.poll(() => queue.getJobCountByTypes('waiting', 'active', 'delayed'), patient).toBe(0);
  expect(await queue.getFailedCount()).toBe(0);
  const attempts = (await queue.getCompleted()).map(({ attemptsMade }) => attemptsMade);
  expect(attempts).toHaveLength(jobs);
  expect(new Set(attempts)).toEqual(new Set([1]));
}

/** A Redis that refuses what changes anything, and how it is mended. */
const refusals: Readonly<Record<string, { refuse(): Promise<unknown>; mend(): Promise<unknown> }>> = {
  'cannot save to its disk (MISCONF)': {
    async refuse() {
      const [, dir = ''] = (await redis.config('GET', 'dir')) as string[];
      // A directory where the snapshot should be: it can't be renamed to there.
      await mkdir(path.join(dir, 'dump.rdb'), { recursive: true });
      await redis.config('SET', 'save', '3600 1');
      await redis.bgsave();
      await expect.poll(() => redis.info('persistence'), patient).toContain('rdb_last_bgsave_status:err');
      await expect(redis.set('x', '1')).rejects.toThrow(/MISCONF/u);
    },
    async mend() {
      const [, dir = ''] = (await redis.config('GET', 'dir')) as string[];
      await redis.config('SET', 'save', '');
      await rm(path.join(dir, 'dump.rdb'), { recursive: true });
      await redis.bgsave();
    },
  },
  'was made a replica (READONLY)': {
    refuse: () => redis.call('REPLICAOF', '127.0.0.1', '1'),
    mend: () => redis.call('REPLICAOF', 'NO', 'ONE'),
  },
  'lacks replicas (NOREPLICAS)': {
    refuse: () => redis.config('SET', 'min-replicas-to-write', '3'),
    mend: () => redis.config('SET', 'min-replicas-to-write', '0'),
  },
};

describe('a job that is stored, while Redis', () => {
  it.each(Object.keys(refusals))('%s, uses up no attempt', async (name) => {
    await migrate({ connectionString: postgres.url });
    const { refuse, mend } = refusals[name] ?? {};
    const released = new EventEmitter();
    const isReleased = once(released, 'now');
    let writing = 0;
    start({
      async query(text, values) {
        if (typeof text === 'string' && text.includes('upsert_blocks')) {
          writing += 1;
          await isReleased;
        }
        return postgres.pool.query(text, values);
      },
    });
    await addBlocks(redis, 1, 40, 1);
    await expect.poll(() => writing, patient).toBe(2);
    await refuse?.();
    released.emit('now');
    await expect.poll(rows, patient).toBe(40);
    await expect.poll(() => logger.messages.length, patient).toBeGreaterThan(0);
    for (const job of await queue.getJobs(['waiting', 'active', 'delayed', 'failed'])) {
      expect(job.attemptsMade).toBe(0);
    }
    await mend?.();
    await expectOneAttemptEach(2);
  });
});

describe('a job for a database that is not migrated', () => {
  it('waits, uses up no attempt, and is stored once somebody has migrated', async () => {
    let refused = 0;
    start({
      async query(text, values) {
        return postgres.pool.query(text, values).catch((error: unknown) => {
          refused += 1;
          throw error;
        });
      },
    });
    await addBlocks(redis, 1, 20, 1);
    await expect.poll(() => refused, patient).toBeGreaterThan(15);
    expect(await queue.getJobCountByTypes('delayed', 'failed')).toBe(0);
    await migrate({ connectionString: postgres.url });
    await expect.poll(rows, patient).toBe(20);
    await expectOneAttemptEach(1);
  });
});
