import { createPool } from '@spillway/db';
import { createLimiter } from '@spillway/limiter';
import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { WorkerFleet, POINTS } from '../test/chaos/worker-fleet.ts';
import { drain } from './drain.ts';
import { startWorker } from './start-worker.ts';
import { addBlocks, outboxLength } from '../test/block-entries.ts';
import { useMigratedPostgres } from '../test/migrated.ts';
import { recordingLogger } from '../test/recording-logger.ts';

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
    expect(await pass()).toEqual({ events: 0, written: 0, duplicates: 0, deadLetters: 0, complete: true });
  });

  it('stops at its budget, and the next pass goes on', async () => {
    await addBlocks(redis.client, 1, 20_000, SHARDS);
    const first = await pass({ budgetMs: 100, blockRowsPerMinute: null }).catch(() => ({ complete: false }));
    expect(first.complete).toBe(false);
    expect(await outboxLength(redis.client, SHARDS)).toBeGreaterThan(0);
    expect(await pass({ budgetMs: 60_000, blockRowsPerMinute: null })).toMatchObject({ complete: true });
    expect(await identifiers()).toHaveLength(20_000);
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
    await addBlocks(redis.client, 1, 3_000, SHARDS);
    const crew = new WorkerFleet([redis.url, postgres.url, String(SHARDS)], { works: ['drain'] });
    onTestFinished(async () => crew.stop());
    for (const point of POINTS) {
      expect(await crew.sacrifice(point, 0)).toBe('SIGKILL');
      expect(await crew.sacrifice(point, 1)).toBe('SIGKILL');
    }
    expect(await outboxLength(redis.client, SHARDS)).toBeGreaterThan(0);
    expect(await pass()).toMatchObject({ complete: true });
    expect(await identifiers()).toHaveLength(3_000);
    expect(new Set(await identifiers()).size).toBe(3_000);
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
