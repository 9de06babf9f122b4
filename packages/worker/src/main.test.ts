import { startPgBouncer, startPostgres, startRedis } from '@spillway/local-servers';
import { compiled, startProgram, useRedis, type Program } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished, describe } from 'vitest';
import { createAuditQueue } from './audit-queue.ts';
import { startWorker } from './start-worker.ts';
import { createPool, migrate } from '@spillway/db';
import { Redis } from 'ioredis';
import { addBlocks, outboxLength } from '../test/entries.ts';
import { useMigratedPostgres, recordingLogger } from '../test/helpers.ts';

const main = await compiled(new URL('main.ts', import.meta.url));

/** SIGTERM, and the code with which the process ends. Past its deadline it would end with 1. */
async function terminate({ child, exited }: Program): Promise<number | null> {
  child.kill('SIGTERM');
  return exited;
}

describe('the program', () => {
  const SHARDS = 4;
  const redis = useRedis();
  const postgres = useMigratedPostgres();

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

  it('ends with 0 on SIGTERM, with each event in its outbox or stored', async () => {
    await addBlocks(redis.client, 1, 10, SHARDS);
    const { child, exited } = worker();
    await expect.poll(rows, { timeout: 20_000 }).toBe(10);
    await addBlocks(redis.client, 11, 1_500, SHARDS);
    child.kill('SIGTERM');
    const code = await exited;
    expect(code).toBe(0);
    const queue = createAuditQueue({ connection: redis.connect({ maxRetriesPerRequest: null }), onError: () => {} });
    expect(await queue.getActiveCount()).toBe(0);
    expect((await outboxLength(redis.client, SHARDS)) + (await rows())).toBe(1_500);
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
    const next = startWorker({ redis: redis.url, pool: postgres.pool, shards: SHARDS, logger });
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
});

describe('its end', () => {
  const SHARDS = 2;

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
});
