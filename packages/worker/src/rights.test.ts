import { createPool, insertDeadLetters, migrate } from '@spillway/db';
import { useLogins, usePostgres, useRedis, documentedRedisUser } from '@spillway/local-servers/testing';
import { outboxKeys } from '@spillway/redis';
import { afterEach, expect, it, onTestFinished, describe } from 'vitest';
import { reconcileJob, tableJobs } from './maintenance/maintenance-jobs.ts';
import { runJob } from './maintenance/run-job.ts';
import { startMaintenance } from './start-maintenance.ts';
import { startWorker } from './start-worker.ts';
import { reconcile } from './recovery/reconcile.ts';
import { startRedis } from '@spillway/local-servers';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { addBlocks, emitBlocks, outboxLength } from '../test/entries.ts';
import { useMigratedPostgres, recordingLogger } from '../test/helpers.ts';

/** A caller's own pino, with pino's own serializers, whose lines are kept. */
function callersLog(): { logger: ReturnType<typeof pino>; lines: string[] } {
  const lines: string[] = [];
  return { logger: pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) }), lines };
}

describe('roles of Postgres', () => {
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
    await insertDeadLetters(postgres.pool, [
      {
        id: '00000000-0000-8000-8000-000000000001',
        sourceJob: 'audit/1',
        reason: 'r',
        payload: {},
      },
    ]);
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
    for (const job of [...tableJobs({ pool, logger }), reconcileJob({ redis: redis.client, pool, shards: SHARDS })]) {
      expect(await runJob({ pool, logger }, job)).toMatchObject({ job: job.name, status: 'completed' });
    }
    expect(logger.messages.filter((message) => message.includes('could not'))).toEqual([]);
  });
});

describe('a user of Redis', () => {
  const SHARDS = 2;
  const patient = { timeout: 20_000 };
  const redis = useRedis();
  const postgres = useMigratedPostgres();
  afterEach(async () => void (await redis.client.call('ACL', 'DELUSER', 'worker')));

  it('a worker needs no more rights in Redis than the documented ACL rule gives', async () => {
    await redis.client.call('ACL', 'SETUSER', 'worker', ...(await documentedRedisUser('worker', '')));
    await redis.client.call('ACL', 'LOG', 'RESET');
    const url = new URL(redis.url);
    url.username = 'worker';
    url.password = 'pw';
    const logger = recordingLogger();
    const shared = { redis: url.href, pool: postgres.pool, shards: SHARDS, logger };
    const http = { host: '127.0.0.1', port: 0 };
    await emitBlocks(redis.client, 0, 1, 50);
    const maintenance = await startMaintenance({ ...shared, http, observeIntervalMs: 50 });
    const worker = startWorker({ ...shared, pump: { lingerMs: 10 } });
    const client = redis.connect({ username: 'worker', password: 'pw', maxRetriesPerRequest: null });
    onTestFinished(async () => void (await Promise.all([worker.close(), maintenance.close()])));

    const stored = async () => (await postgres.pool.query('SELECT FROM rate_limits_v2')).rowCount;
    await expect.poll(stored, patient).toBe(50);
    await emitBlocks(redis.client, 1, 1, 50);
    await expect.poll(stored, patient).toBe(100);
    await expect.poll(() => outboxLength(redis.client, SHARDS), patient).toBe(0);
    await expect.poll(async () => (await fetch(`${maintenance.url}/readyz`)).status, patient).toBe(200);
    await expect.poll(() => redis.client.hget(outboxKeys(1).head, 'run'), patient).not.toBeNull();
    expect(await reconcile({ redis: client, pool: postgres.pool, shards: SHARDS })).toMatchObject({
      missing: [],
    });
    expect(await redis.client.call('ACL', 'LOG')).toEqual([]);
    expect(logger.messages).toEqual([]);
  });
});

describe('secrets', () => {
  const redis = useRedis();

  const neverAsked = { query: async () => Promise.reject(new Error('not asked')) };

  describe('no line of a worker holds', () => {
    it('the password that Redis refuses', async () => {
      await redis.client.call('ACL', 'SETUSER', 'app', 'on', '>right', '~*', '+@all');
      onTestFinished(async () => void (await redis.client.call('ACL', 'DELUSER', 'app')));
      const { logger, lines } = callersLog();
      const url = new URL(redis.url);
      [url.username, url.password] = ['app', 'S3cretPassw0rd'];
      const worker = startWorker({ redis: url.href, pool: neverAsked, shards: 1, logger });
      onTestFinished(() => worker.close());
      await expect.poll(() => lines.join(''), { timeout: 15_000 }).toContain('WRONGPASS');
      expect(lines.join('')).not.toContain('S3cretPassw0rd');
    });

    it('a subject, when Postgres refuses its row or a statement', async () => {
      const { logger, lines } = callersLog();
      const refused = Object.assign(new Error('relation "x" does not exist'), {
        code: '42P01',
        detail: 'Failing row contains (S3cretSubject)',
        where: 'S3cretSubject',
      });
      const worker = startWorker({
        redis: redis.url,
        pool: { query: async () => Promise.reject(refused) },
        shards: 1,
        logger,
      });
      onTestFinished(() => worker.close());
      await addBlocks(redis.client, 1, 1, 1);
      await expect.poll(() => lines.join(''), { timeout: 15_000 }).toContain('a job failed');
      expect(lines.join('')).not.toContain('S3cretSubject');
    });

    it('the arguments of a command that Redis refuses', async () => {
      const server = await startRedis();
      onTestFinished(() => server.stop());
      const { logger, lines } = callersLog();
      const worker = startWorker({ redis: server.url, pool: neverAsked, shards: 1, logger });
      onTestFinished(() => worker.close());
      const client = new Redis(server.url);
      onTestFinished(() => client.disconnect());
      await addBlocks(client, 1, 1, 1);
      await client.config('SET', 'maxmemory', '1');
      await addBlocks(client, 2, 2, 1).catch(() => {});
      await expect.poll(() => lines.join(''), { timeout: 15_000 }).toContain('OOM');
      expect(lines.join('')).not.toMatch(/subject-1|"args"/u);
    });
  });
});
