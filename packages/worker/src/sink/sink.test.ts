import { type Queryable, migrate } from '@spillway/db';
import { useRedis, usePostgres } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished, vi, afterEach, beforeEach, describe } from 'vitest';
import { startWorker, type AuditWorker } from '../start-worker.ts';
import { createAuditQueue, type AuditQueue } from '../audit-queue.ts';
import type { AuditEntry } from '../outbox.ts';
import { LagMeter } from './lag-meter.ts';
import { EventEmitter, once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { type RedisServer, startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { addBlocks, outboxLength } from '../../test/entries.ts';
import { useMigratedPostgres, recordingLogger } from '../../test/helpers.ts';
import path from 'node:path';

describe('a clock that is ahead', () => {
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
});

describe('Postgres that is away', () => {
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
      pump: { lingerMs: 20 },
      sink: { batchSize: 100, unavailableDelayMs: 1 },
    });
    onTestFinished(async () => {
      vi.useRealTimers();
      await worker.close();
      await queue.close();
    });

    await expect.poll(() => refused, { timeout: 60_000 }).toBeGreaterThan(1_800);
    expect(await queue.getFailedCount()).toBe(0);
    expect(await outboxLength(redis.client, 1)).toBe(2_000);
    expect(await queue.getJobCountByTypes('waiting', 'active', 'delayed')).toBe(1);
    for (const job of await queue.getJobs(['waiting', 'active', 'delayed'])) expect(job.attemptsMade).toBe(0);

    await expect.poll(rows, { timeout: 60_000 }).toBe(2_000);
    // Each poll here also moves the clock a little.
    expect(refused).toBeGreaterThan(3_500);
    await expect.poll(() => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'failed')).toBe(0);
    expect(await outboxLength(redis.client, 1)).toBe(0);
    const attempts = (await queue.getCompleted()).map(({ attemptsMade }) => attemptsMade);
    expect(new Set(attempts)).toEqual(new Set([1]));
  }, 120_000);
});

describe('the lag of events', () => {
  const NOW = 1_800_000_000_000;
  const entry = (lagMs: number): AuditEntry => [0, `${NOW - lagMs}-0`, []];

  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: NOW }));
  afterEach(() => void vi.useRealTimers());

  it('tells the median and the 99th percentile of what was committed since the last time', () => {
    const meter = new LagMeter();
    expect(meter.take()).toEqual([]);
    meter.committed(Array.from({ length: 100 }, (_, index) => entry(index + 1)));
    expect(meter.take()).toEqual([
      { name: 'audit_event_lag_p50_ms', value: 50, unit: 'ms', tags: {} },
      { name: 'audit_event_lag_p99_ms', value: 99, unit: 'ms', tags: {} },
    ]);
    expect(meter.take()).toEqual([]);
  });

  it('counts by the clock of Redis, and never below 0', () => {
    const meter = new LagMeter();
    meter.redisAheadMs = -60_000;
    meter.committed([entry(60_500)]);
    expect(meter.take()[0]?.value).toBe(500);
    meter.committed([entry(0)]);
    expect(meter.take()[0]?.value).toBe(0);
  });

  it('keeps a bounded number of lags', () => {
    const meter = new LagMeter();
    for (let job = 0; job < 30; job += 1) meter.committed(Array.from({ length: 500 }, () => entry(job)));
    expect(meter.take()[0]?.value).toBeGreaterThanOrEqual(10);
  });
});

describe('attempts', () => {
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
    const tuning = { pump: { lingerMs: 10 }, sink: { unavailableDelayMs: 50, lockMs: 1_000 } };
    worker = startWorker({ redis: server.url, pool, shards: 2, logger, ...tuning });
  }

  /** Every job is completed, and was attempted once. */
  async function expectOneAttemptEach(jobs: number): Promise<void> {
    await expect.poll(() => queue.getJobCountByTypes('waiting', 'active', 'delayed'), patient).toBe(0);
    expect(await queue.getFailedCount()).toBe(0);
    const attempts = (await queue.getCompleted()).map(({ attemptsMade }) => attemptsMade);
    expect(attempts.length).toBeGreaterThanOrEqual(jobs);
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
      await addBlocks(redis, 1, 40, 2);
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
});
