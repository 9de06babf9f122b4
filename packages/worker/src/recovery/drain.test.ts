import { createPool, type Queryable } from '@spillway/db';
import { createLimiter, definePolicy, type Decision } from '@spillway/limiter';
import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions, outboxKeys } from '@spillway/redis';
import { describe, expect, it, onTestFinished, vi, afterEach, beforeEach } from 'vitest';
import { WorkerFleet, POINTS } from '../../test/chaos/worker-fleet.ts';
import { startWorker, type AuditWorker } from '../start-worker.ts';
import { drain } from './drain.ts';
import { type RedisServer, startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { type AuditQueue, createAuditQueue } from '../audit-queue.ts';
import { addBlocks, outboxLength } from '../../test/entries.ts';
import { useMigratedPostgres, recordingLogger } from '../../test/helpers.ts';

describe('a pass', () => {
  const SHARDS = 4;
  const redis = useRedis();
  const postgres = useMigratedPostgres();
  const pass = (options: object = {}) => drain({ redis: redis.url, pool: postgres.pool, shards: SHARDS, ...options });

  async function identifiers(): Promise<string[]> {
    const { rows } = await postgres.pool.query<{ identifier: string }>('SELECT identifier FROM rate_limits_v2');
    return rows.map(({ identifier }) => identifier).toSorted();
  }

  describe('drain', () => {
    it("brings a limiter's block into the table, without a worker", async () => {
      const client = redis.connect(hotPathOptions);
      await vi.waitUntil(() => client.status === 'ready');
      const policies = [{ name: 'once', limit: 1, windowMs: 60_000, blockMs: 60_000 }];
      const limiter = createLimiter({ redis: client, policies, shards: SHARDS, deadlineMs: 5_000 });
      for (let request = 0; request < 2; request += 1) await limiter.consume('once', 'ada');
      await limiter.close();
      expect(await pass()).toMatchObject({ events: 1, written: 1, deadLetters: 0, complete: true });
      expect(await identifiers()).toEqual(['ada']);
      expect(await outboxLength(redis.client, SHARDS)).toBe(0);
      const nothing = { events: 0, written: 0, duplicates: 0, deadLetters: 0, waiting: 0, unread: [], complete: true };
      expect(await pass()).toEqual(nothing);
    });

    it('stops at its budget, and the next pass goes on', async () => {
      await addBlocks(redis.client, 1, 20_000, SHARDS);
      const first = await pass({ budgetMs: 100, blockRowsPerMinute: null }).catch(() => ({ complete: false }));
      expect(first.complete).toBe(false);
      expect(await outboxLength(redis.client, SHARDS)).toBeGreaterThan(0);
      expect(await pass({ budgetMs: 60_000, blockRowsPerMinute: null })).toMatchObject({ complete: true });
      expect(await identifiers()).toHaveLength(20_000);
    });

    it('names an outbox that it could not read, and reports what it stored of the others', async () => {
      await addBlocks(redis.client, 1, 40, SHARDS);
      await redis.client.set(outboxKeys(2).stream, 'not a stream');
      expect(await pass()).toMatchObject({
        events: 30,
        written: 30,
        unread: [2],
        reason: expect.stringMatching(/outboxes 2 can not be read: .*WRONGTYPE/u),
        complete: false,
      });
      expect(await identifiers()).toHaveLength(30);
    });

    it('says how many events wait for their table, and why', async () => {
      await addBlocks(redis.client, 1, 40, SHARDS);
      await postgres.pool.query('ALTER TABLE rate_limits_v2 RENAME TO renamed');
      const reason: unknown = expect.stringContaining('"public.rate_limits_v2" does not exist');
      expect(await pass()).toMatchObject({ events: 0, waiting: 40, unread: [], reason, complete: false });
      await postgres.pool.query('ALTER TABLE renamed RENAME TO rate_limits_v2');
      expect(await pass()).toMatchObject({ events: 40, waiting: 0, complete: true });
    });

    it('stores each event once beside other passes and a worker', async () => {
      const worker = startWorker({ redis: redis.url, pool: postgres.pool, shards: SHARDS, logger: recordingLogger() });
      onTestFinished(async () => worker.close());
      await addBlocks(redis.client, 1, 3_000, SHARDS);
      await Promise.all([pass(), pass(), pass()]);
      await expect.poll(async () => (await identifiers()).length).toBe(3_000);
      await expect.poll(() => outboxLength(redis.client, SHARDS)).toBe(0);
      expect(new Set(await identifiers()).size).toBe(3_000);
    });

    it('loses nothing and stores nothing twice, wherever passes are killed', async () => {
      await addBlocks(redis.client, 1, 20_000, SHARDS);
      const crew = new WorkerFleet([redis.url, postgres.url, String(SHARDS)], { works: ['drain'] });
      onTestFinished(async () => crew.stop());
      for (const point of POINTS) {
        expect(await crew.sacrifice(point, 0)).toBe('SIGKILL');
        expect(await crew.sacrifice(point, 1)).toBe('SIGKILL');
      }
      expect(await outboxLength(redis.client, SHARDS)).toBeGreaterThan(0);
      expect(await pass({ budgetMs: 60_000, blockRowsPerMinute: null })).toMatchObject({ complete: true });
      expect(await identifiers()).toHaveLength(20_000);
      expect(new Set(await identifiers()).size).toBe(20_000);
    }, 120_000);

    it.each([
      ['redis', { redis: 'redis://127.0.0.1:1' }],
      ['Postgres', { pool: createPool({ connectionString: 'postgres://127.0.0.1:1/none', onError: () => {} }) }],
    ])('tells why when %s is away, and leaves the events where they are', async (_, options) => {
      await addBlocks(redis.client, 1, 10, SHARDS);
      await expect(pass({ budgetMs: 1_500, ...options })).rejects.toThrow(/ECONNREFUSED/u);
      expect(await outboxLength(redis.client, SHARDS)).toBe(10);
    });

    it.each([
      [{ budgetMs: 0 }, 'budgetMs'],
      [{ shards: 0 }, 'shards'],
      [{ redis: 'http://127.0.0.1' }, 'redis'],
      [{ blockRowsPerMinute: -1 }, 'blockRowsPerMinute'],
    ])('refuses %j', async (wrong, field) => {
      await expect(pass(wrong)).rejects.toMatchObject({ message: expect.stringContaining(field) });
    });
  });
});

describe('in a worker', () => {
  const SHARDS = 2;
  const postgres = useMigratedPostgres();
  const patient = { timeout: 30_000 };
  let server: RedisServer;
  let redis: Redis;
  let queue: AuditQueue;
  let worker: AuditWorker | undefined;
  let logger: ReturnType<typeof recordingLogger>;

  beforeEach(async () => {
    server = await startRedis();
    redis = new Redis(server.url, { maxRetriesPerRequest: null });
    redis.on('error', () => {});
    queue = createAuditQueue({ connection: redis, onError: () => {} });
    logger = recordingLogger();
  });

  afterEach(async () => {
    await worker?.close();
    await queue.close();
    redis.disconnect();
    await server.stop();
  });

  const fill = async (): Promise<void> =>
    void (await redis.config('SET', 'maxmemory', '1', 'maxmemory-policy', 'noeviction'));
  const rows = async (): Promise<number | null> => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;
  const start = (pool: Queryable): void => {
    const pump = { lingerMs: 10 };
    const sink = { batchSize: 100, unavailableDelayMs: 50, lockMs: 1_000 };
    worker = startWorker({ redis: server.url, pool, shards: SHARDS, logger, pump, sink });
  };

  describe('a Redis at maxmemory', () => {
    it('gives up a backlog that no worker ever looked at, without anything being changed at Redis', async () => {
      await addBlocks(redis, 1, 3_000, SHARDS);
      await fill();
      const startedAt = performance.now();
      start(postgres.pool);
      await expect.poll(rows, patient).toBe(3_000);
      await expect.poll(() => outboxLength(redis, SHARDS), patient).toBe(0);
      const seconds = Math.ceil((performance.now() - startedAt) / 1_000);
      expect(logger.messages.length).toBeLessThan(10 * seconds);
      expect(logger.messages.filter((message) => message.includes('maxmemory'))).toHaveLength(1);
    });

    it('gives up what jobs were added for already, and none of these uses up an attempt', async () => {
      let isAway = true;
      const pool: Queryable = {
        async query(text, values) {
          if (!isAway) return postgres.pool.query(text, values);
          throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
        },
      };
      await addBlocks(redis, 1, 2_000, SHARDS);
      start(pool);
      await expect.poll(() => queue.getJobCountByTypes('waiting', 'active'), patient).toBe(2);
      await fill();
      await expect.poll(() => logger.messages.join('\n'), patient).toContain('maxmemory');
      for (const job of await queue.getJobs(['waiting', 'active', 'delayed'])) expect(job.attemptsMade).toBe(0);
      isAway = false;
      await expect.poll(rows, patient).toBe(2_000);
      await expect.poll(() => outboxLength(redis, SHARDS), patient).toBe(0);
      // They find nothing to do once the queue can give them out again.
      await redis.config('SET', 'maxmemory', '0');
      await expect.poll(() => queue.getJobCountByTypes('waiting', 'active', 'delayed', 'failed'), patient).toBe(0);
    });

    it('is left to the queue again when it has room', async () => {
      await fill();
      start(postgres.pool);
      await redis.config('SET', 'maxmemory', '0');
      await addBlocks(redis, 1, 100, SHARDS);
      await expect.poll(() => queue.getCompletedCount(), patient).toBeGreaterThan(0);
      await expect.poll(rows, patient).toBe(100);
    });
  });
});

describe('with a ledger of what was decided', () => {
  const SHARDS = 4;
  const SUBJECTS = 600;
  const ROUNDS = 9;
  const patient = { timeout: 30_000 };
  const postgres = useMigratedPostgres();
  let server: RedisServer;
  let admin: Redis;

  beforeEach(async () => {
    server = await startRedis({ args: ['--maxmemory-policy', 'noeviction'] });
    admin = new Redis(server.url);
  });
  afterEach(async () => {
    admin.disconnect();
    await server.stop();
  });

  const names = ['strict', 'here', 'counted'] as const;
  const block = { limit: 2, windowMs: 600_000, blockMs: 600_000 };
  const policies = [
    definePolicy({ ...block, name: 'strict', onUnavailable: 'closed' }),
    definePolicy({ ...block, name: 'here', onUnavailable: 'local' }),
    definePolicy({ ...block, name: 'counted', onUnavailable: 'open', algorithm: 'sliding-window' }),
  ] as const;

  it('who is told of a block while Redis is full now and then has a row, and who has a row was told', async () => {
    const client = new Redis(server.url, hotPathOptions);
    const limiter = createLimiter({
      redis: client,
      policies,
      shards: SHARDS,
      deadlineMs: 10_000,
      denyCache: false,
    });
    const worker = startWorker({ redis: server.url, pool: postgres.pool, shards: SHARDS, logger: recordingLogger() });
    const told = new Map<string, Decision[]>();
    for (let round = 0; round < ROUNDS; round += 1) {
      // Each subject meets the full Redis at another of its requests.
      await admin.config('SET', 'maxmemory', round % 3 === 1 ? '1' : '0');
      await Promise.all(
        Array.from({ length: SUBJECTS }, async (_, index) => {
          // Some use up their limit before Redis is full, and come no more after that; the others leave a round out.
          const isGone = index % 5 === 0;
          if (isGone ? round > 1 : (index + round) % 4 === 0) return;
          for (const name of isGone ? [...names, ...names] : names) {
            const decision = await limiter.consume(name, `u${index}`);
            const subject = `${name}/u${index}`;
            told.set(subject, [...(told.get(subject) ?? []), decision]);
          }
        }),
      );
    }
    await admin.config('SET', 'maxmemory', '0');
    await expect.poll(() => outboxLength(admin, SHARDS), patient).toBe(0);
    const blockedBy = (isLocal: boolean): string[] =>
      [...told]
        .filter(([, all]) => all.some(({ reason, source }) => reason === 'blocked' && (source === 'local') === isLocal))
        .map(([subject]) => subject)
        .toSorted();
    const stored = async (): Promise<string[]> => {
      const { rows } = await postgres.pool.query<{ subject: string }>(
        "SELECT tier || '/' || identifier AS subject FROM rate_limits_v2",
      );
      return rows.map(({ subject }) => subject).toSorted();
    };
    await expect.poll(stored, patient).toEqual(blockedBy(false));
    // A subject that only a full Redis refused is over the limit, and no block was written for it.
    const rows = new Set(await stored());
    const without = [...told].filter(([subject]) => !rows.has(subject));
    const refusals = without.flatMap(([, all]) => all.filter(({ allowed }) => !allowed));
    expect(refusals.length).toBeGreaterThan(100);
    expect(new Set(refusals.map(({ reason }) => reason))).toEqual(new Set(['limited']));
    await limiter.close();
    client.disconnect();
    await worker.close();
  }, 120_000);
});
