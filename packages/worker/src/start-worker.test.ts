import { createPool, migrate } from '@spillway/db';
import { startPostgres, startRedis, startRedisCluster, startRedisSentinel } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { createLimiter, tiers } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type AuditWorker, startWorker, type WorkerOptions } from './start-worker.ts';
import { createAuditQueue } from './audit-queue.ts';
import { writeEntries } from './sink/write-entries.ts';
import { addBlocks, blockEntry, outboxLength } from '../test/entries.ts';
import { useMigratedPostgres, type RecordingLogger, recordingLogger } from '../test/helpers.ts';

const SHARDS = 4;
const redis = useRedis();
const postgres = useMigratedPostgres();
let logger: RecordingLogger;
let workers: AuditWorker[];

beforeEach(() => {
  logger = recordingLogger();
  workers = [];
});
// Before the fixture drops the database that the workers write to.
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.close()));
});

function start(options: Partial<WorkerOptions> = {}): AuditWorker {
  const pump = { lingerMs: 20, ...options.pump };
  const worker = startWorker({ redis: redis.url, pool: postgres.pool, shards: SHARDS, logger, ...options, pump });
  workers.push(worker);
  return worker;
}

async function count(sql = 'SELECT COUNT(*) FROM rate_limits_v2'): Promise<number> {
  const { rows } = await postgres.pool.query<{ count: string }>(sql);
  return Number(rows[0]?.count);
}

interface Commands {
  /** The pump's looks at its outboxes. */
  readonly looks: number;
  /** All commands that Redis ran, those of scripts too. */
  readonly all: number;
}

async function commands(): Promise<Commands> {
  const stats = await redis.client.info('commandstats');
  const counts = Array.from(stats.matchAll(/^cmdstat_(\S+):calls=(\d+)/gmu), ([, name, calls]) => ({
    name,
    calls: Number(calls),
  }));
  const sum = (some: typeof counts): number => some.reduce((total, { calls }) => total + calls, 0);
  // This test's own.
  const others = counts.filter(({ name }) => name !== 'info');
  return { looks: sum(others.filter(({ name }) => name === 'xread')), all: sum(others) };
}

describe('startWorker', () => {
  it("brings a limiter's block into the table where the guide's query counts it", async () => {
    start({ shards: 16 });
    const client = redis.connect(hotPathOptions);
    await vi.waitUntil(() => client.status === 'ready');
    const limiter = createLimiter({ redis: client, policies: tiers, deadlineMs: 5_000 });
    for (let request = 0; request < 8; request += 1) await limiter.consume('auth', 'ada', { action: 'login' });
    await limiter.close();
    const query = "SELECT COUNT(*) FROM rate_limits_v2 WHERE blocked_until > now() - interval '24 hours';";
    await expect.poll(() => count(query)).toBe(1);
    const who = 'SELECT tier, action, identifier, denied_count FROM rate_limits_v2';
    await expect
      .poll(async () => (await postgres.pool.query(who)).rows)
      .toEqual([{ tier: 'auth', action: 'login', identifier: 'ada', denied_count: '3' }]);
  });

  it('shares the work among workers, with one row for each block', async () => {
    start();
    start();
    await addBlocks(redis.client, 1, 3_000, SHARDS);
    await expect.poll(count, { timeout: 10_000 }).toBe(3_000);
    await expect.poll(() => outboxLength(redis.client, SHARDS)).toBe(0);
    expect(await count('SELECT COUNT(*) FROM spillway.audit_dead_letters')).toBe(0);
  });

  it('stores once what a worker had stored that was killed before it could take the entries out', async () => {
    await addBlocks(redis.client, 1, 20, SHARDS);
    const stored = Array.from({ length: 20 }, (_, index) =>
      blockEntry({ seq: index + 1, shard: (index + 1) % SHARDS }),
    );
    await writeEntries(postgres.pool, 'test', stored);
    start();
    await expect.poll(() => outboxLength(redis.client, SHARDS)).toBe(0);
    expect(await count()).toBe(20);
  });

  it('uses a Redis of its own for the queue when there is one', async () => {
    const second = await startRedis();
    start({ queueRedis: second.url });
    await addBlocks(redis.client, 1, 10, SHARDS);
    await expect.poll(count).toBe(10);
    expect(await redis.client.keys('{spillway}*')).toEqual([]);
    await workers[0]?.close();
    await second.stop();
  });

  it('works in Redis Cluster', async () => {
    const cluster = await startRedisCluster();
    const client = new Cluster(
      cluster.urls.map((url) => new URL(url)).map(({ hostname, port }) => ({ host: hostname, port: Number(port) })),
    );
    const worker = start({ redis: client });
    await addBlocks(client, 1, 100, SHARDS);
    await expect.poll(count, { timeout: 10_000 }).toBe(100);
    await expect.poll(() => outboxLength(client, SHARDS)).toBe(0);
    await worker.close();
    client.disconnect();
    await cluster.stop();
  }, 120_000);

  it('works through the nodes of a Redis Cluster by URL, with a queue elsewhere', async () => {
    const cluster = await startRedisCluster();
    onTestFinished(() => cluster.stop());
    const nodes = cluster.urls.map((url) => new URL(url).host).join(',');
    const worker = start({ redis: `redis-cluster://${nodes}`, queueRedis: redis.url });
    const client = new Cluster(
      cluster.urls.map((url) => new URL(url)).map(({ hostname, port }) => ({ host: hostname, port: Number(port) })),
    );
    await addBlocks(client, 1, 100, SHARDS);
    await expect.poll(count, { timeout: 10_000 }).toBe(100);
    await expect.poll(() => outboxLength(client, SHARDS)).toBe(0);
    expect(await redis.client.exists('{spillway}:spillway-audit:meta')).toBe(1);
    await worker.close();
    client.disconnect();
  }, 120_000);

  it('finds the master of both Redis through sentinels, and its successor after it is killed', async () => {
    const set = await startRedisSentinel();
    onTestFinished(() => set.stop());
    const sentinels = set.sentinels.map(({ host, port }) => ({ host, port }));
    const url = `redis-sentinel://${sentinels.map(({ host, port }) => `${host}:${port}`).join(',')}/${set.name}`;
    const worker = start({ redis: url, queueRedis: url });
    const client = new Redis({
      sentinels,
      name: set.name,
      maxRetriesPerRequest: null,
      sentinelRetryStrategy: () => 100,
    });
    client.on('error', () => {});
    onTestFinished(() => client.disconnect());
    await addBlocks(client, 1, 50, SHARDS);
    await expect.poll(count, { timeout: 20_000 }).toBe(50);
    const first = await set.master();
    await set.nodes[0]?.kill();
    await expect.poll(async () => (await set.master()).port, { timeout: 25_000 }).not.toBe(first.port);
    await addBlocks(client, 51, 100, SHARDS);
    await expect.poll(count, { timeout: 30_000 }).toBe(100);
    await worker.close();
  }, 120_000);

  it('lets jobs wait while Postgres is away, without using up their attempts', async () => {
    const server = await startPostgres({ durable: true });
    await migrate({ connectionString: server.url });
    const pool = createPool({ connectionString: server.url, onError: () => {} });
    const connection = redis.connect({ maxRetriesPerRequest: null });
    const queue = createAuditQueue({ connection, onError: () => {} });
    await server.kill();
    const outcomes: string[] = [];
    const metrics = { job: (outcome: string) => void outcomes.push(outcome) };
    const worker = start({ pool, metrics, sink: { unavailableDelayMs: 100 } });
    await addBlocks(redis.client, 1, 10, SHARDS);
    await expect.poll(() => outcomes.length, { timeout: 15_000 }).toBeGreaterThan(12);
    expect(new Set(outcomes)).toEqual(new Set(['postponed']));
    expect(await queue.getFailedCount()).toBe(0);
    await server.restart();
    const { rows } = await vi.waitFor(
      async () => {
        const result = await pool.query<{ n: string }>('SELECT count(*) AS n FROM rate_limits_v2');
        expect(result.rows).toEqual([{ n: '10' }]);
        return result;
      },
      { timeout: 10_000 },
    );
    expect(rows).toHaveLength(1);
    await expect.poll(() => queue.getCompletedCount()).toBe(SHARDS);
    expect((await queue.getCompleted()).map((job) => job.attemptsMade)).toEqual(Array(SHARDS).fill(1));
    await worker.close();
    await pool.end();
    await queue.close();
    await server.stop();
  }, 60_000);

  it('closes within its time when Redis is dead, and closing twice is the same as once', async () => {
    const server = await startRedis();
    const worker = start({ redis: server.url, closeTimeoutMs: 300 });
    const client = new Redis(server.url);
    client.on('error', () => {});
    await addBlocks(client, 1, 1, SHARDS);
    await expect.poll(count).toBe(1);
    client.disconnect();
    await server.kill();
    await Promise.all([worker.close(), worker.close()]);
    expect(logger.messages).toContain('worker: not finished in time, left for the next worker');
    await server.stop();
  });

  it('starts without Redis and goes to work when it comes', async () => {
    const server = await startRedis();
    await server.kill();
    start({ redis: server.url });
    await server.restart();
    const client = new Redis(server.url);
    await addBlocks(client, 1, 5, SHARDS);
    await expect.poll(count, { timeout: 15_000 }).toBe(5);
    client.disconnect();
    await workers[0]?.close();
    await server.stop();
  });

  it.each([
    [
      'redis',
      { redis: 'http://x' },
      'option "redis" must be a redis://, redis-cluster:// or redis-sentinel:// URL, got "(hidden)"',
    ],
    [
      'closeTimeoutMs',
      { closeTimeoutMs: 0 },
      'option "closeTimeoutMs" must be a whole number from 1 to 3600000, got 0',
    ],
    ['concurrency', { sink: { concurrency: 0 } }, 'option "concurrency" must be a whole number from 1 to 1000, got 0'],
    ['shards', { shards: 1.5 }, 'option "shards" must be a whole number from 1 to 4096, got 1.5'],
  ])('refuses a bad %s', (option, options, message) => {
    expect(() => start(options)).toThrow(expect.objectContaining({ code: 'invalid_option', option, message }));
  });
});

describe('an idle worker', () => {
  it('a worker without events asks Redis for little beside its looks at the outboxes', async () => {
    const worker = startWorker({ redis: redis.url, pool: postgres.pool, shards: 16, logger: recordingLogger() });
    onTestFinished(() => worker.close());
    const patience = { timeout: 60_000, interval: 500 };
    const looks = async (): Promise<number> => (await commands()).looks;
    // Those of the start, one after the other, before it waits in Redis.
    await expect.poll(looks, patience).toBeGreaterThan(7);
    const before = await commands();
    await expect.poll(looks, patience).toBeGreaterThan(before.looks + 5);
    const after = await commands();
    expect((after.all - before.all) / (after.looks - before.looks)).toBeLessThan(30);
  }, 150_000);
});
