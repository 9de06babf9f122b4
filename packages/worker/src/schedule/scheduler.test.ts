import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createPool, migrate } from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';
import { usePostgres, useRedis } from '@spillway/local-servers/testing';
import { Queue, QueueEvents } from 'bullmq';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../maintenance/job.ts';
import { reconcileJob, tableJobs } from '../maintenance/maintenance-jobs.ts';
import { latestDue } from './due.ts';
import { type Scheduler, type SchedulerOptions, startScheduler } from './scheduler.ts';
import { DEFAULT_PREFIX } from '../audit-queue.ts';
import { MAINTENANCE_QUEUE } from './maintenance-queue.ts';
import { connect } from '../options.ts';
import { recordingLogger, runFixture } from '../../test/helpers.ts';

const redis = useRedis();
const postgres = usePostgres({
  migrate: async (url) => {
    await migrate({ connectionString: url });
  },
  template: 'worker',
  scope: 'test',
});
const onError = (): void => {};
const YEARLY = '0 0 1 1 *';
let running: { scheduler: Scheduler; disconnect: () => void }[];
let children: ChildProcess[];
let runs: string[];

beforeEach(() => {
  running = [];
  children = [];
  runs = [];
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(running.map(({ scheduler }) => scheduler.close()));
  for (const { disconnect } of running) disconnect();
});

/** A job that notes its runs. */
function noting(name: string, ...patterns: string[]): Job {
  return {
    name,
    patterns,
    run: async () => {
      runs.push(name);
      return { status: 'completed' };
    },
  };
}

function start(jobs: readonly Job[], options: Partial<SchedulerOptions> = {}): Scheduler {
  const connection = connect(redis.url, { option: 'redis', connectionName: 'schedule', onError });
  const scheduler = startScheduler({
    connection,
    pool: postgres.pool,
    logger: recordingLogger(),
    jobs,
    checkIntervalMs: 50,
    ...options,
  });
  running.push({ scheduler, disconnect: () => connection.disconnect() });
  return scheduler;
}

interface RunRow {
  due_at: Date;
  status: string;
  attempts: number;
}

async function history(name: string): Promise<RunRow[]> {
  const { rows } = await postgres.pool.query<RunRow>(
    'SELECT due_at, status, attempts FROM spillway.job_runs WHERE job = $1 ORDER BY due_at',
    [name],
  );
  return rows;
}

/** Writes that the job's history began a year before, so that it is overdue. */
async function overdue(name: string): Promise<void> {
  await postgres.pool.query(
    `INSERT INTO spillway.job_runs (job, due_at, trigger, status)
     VALUES ($1, now() - interval '2 years', 'schedule', 'completed')`,
    [name],
  );
}

async function schedulers(): Promise<unknown[]> {
  const connection = connect(redis.url, { option: 'redis', connectionName: 'look', onError });
  const queue = new Queue(MAINTENANCE_QUEUE, { connection, prefix: DEFAULT_PREFIX });
  const found = await queue.getJobSchedulers();
  await queue.close();
  connection.disconnect();
  return found.map(({ key, pattern, tz }) => ({ key, pattern, tz })).toSorted((a, b) => a.key.localeCompare(b.key));
}

describe('latestDue', () => {
  it.each([
    ['0 3 * * *', '2025-12-07T03:00:00.000Z', '2025-12-07T03:00:00.000Z'],
    ['0 3 * * *', '2025-12-07T02:59:59.999Z', '2025-12-06T03:00:00.000Z'],
    ['0 3 * * *', '2025-12-07T03:00:00.001Z', '2025-12-07T03:00:00.000Z'],
    ['0 1 1 * *', '2026-01-01T00:59:59.000Z', '2025-12-01T01:00:00.000Z'],
    ['0 1 1 * *', '2024-03-01T00:00:00.000Z', '2024-02-01T01:00:00.000Z'],
    ['0 2 * * 0', '2025-12-13T23:00:00.000Z', '2025-12-07T02:00:00.000Z'],
    // Where clocks go back, a local 02:00 would come twice.
    ['0 2 * * 0', '2025-11-02T06:30:00.000Z', '2025-11-02T02:00:00.000Z'],
    ['* * * * * *', '2025-12-07T03:00:07.600Z', '2025-12-07T03:00:07.000Z'],
  ])('of %s at %s is %s', (pattern, now, expected) => {
    expect(latestDue([pattern], Date.parse(now)).toISOString()).toBe(expected);
  });
});

describe('the schedules', () => {
  it("are the guide's, in UTC, a daily look at the months and a daily reconcile", async () => {
    const deps = { pool: postgres.pool, logger: recordingLogger() };
    start([...tableJobs(deps), reconcileJob({ redis: redis.client, pool: postgres.pool, shards: 1 })]);
    await expect.poll(schedulers, { timeout: 10_000 }).toEqual([
      { key: 'cron-archive-data', pattern: '0 2 * * 0', tz: 'UTC' },
      { key: 'cron-cleanup-rate-limits', pattern: '0 3 * * *', tz: 'UTC' },
      { key: 'cron-create-partitions', pattern: '0 1 1 * *', tz: 'UTC' },
      { key: 'cron-create-partitions.2', pattern: '30 0 * * *', tz: 'UTC' },
      { key: 'cron-reconcile-audit', pattern: '30 4 * * *', tz: 'UTC' },
    ]);
  });

  it('are written again only when they differ, since that would delete an overdue run', async () => {
    await start([noting('tidy', YEARLY)]).close();
    const next = (): Promise<string | null> =>
      redis.client.zscore(`${DEFAULT_PREFIX}:${MAINTENANCE_QUEUE}:repeat`, 'tidy');
    await redis.client.zadd(`${DEFAULT_PREFIX}:${MAINTENANCE_QUEUE}:repeat`, 12_345, 'tidy');
    await start([noting('tidy', YEARLY)]).close();
    expect(await next()).toBe('12345');
    await start([noting('tidy', '0 0 2 1 *')]).close();
    expect(await next()).not.toBe('12345');
  });

  it.each([
    ['pattern', noting('x', 'daily'), 'pattern'],
    ['name', noting('a:b', YEARLY), 'name'],
  ])('refuse a bad %s', (_, schedule, option) => {
    expect(() => start([schedule])).toThrow(expect.objectContaining({ code: 'invalid_option', option }));
  });
});

describe('a job', () => {
  it('that was never due since it was installed is not run', async () => {
    start([noting('yearly', YEARLY)]);
    await expect.poll(() => history('yearly'), { timeout: 10_000 }).toMatchObject([{ status: 'baseline' }]);
    await expect.poll(schedulers).toHaveLength(1);
    expect(runs).toEqual([]);
  });

  it('runs once for each time it is due, with 20 workers', async () => {
    for (let worker = 0; worker < 20; worker += 1) start([noting('often', '*/2 * * * * *')], { checkIntervalMs: 300 });
    await expect.poll(() => history('often'), { timeout: 30_000 }).toMatchObject({ length: 4 });
    await Promise.all(running.map(({ scheduler }) => scheduler.close()));
    const rows = await history('often');
    expect(runs).toHaveLength(rows.length - 1);
    expect(rows.slice(1).every(({ status, attempts }) => status === 'completed' && attempts === 1)).toBe(true);
  }, 90_000);

  it('whose workers were down over several ticks catches up exactly once', async () => {
    await overdue('yearly');
    for (let worker = 0; worker < 5; worker += 1) start([noting('yearly', YEARLY), noting('often', '* * * * * *')]);
    await expect.poll(() => history('yearly'), { timeout: 10_000 }).toMatchObject([{}, { status: 'completed' }]);
    // The other job shows that all have gone on looking.
    const before = runs.length;
    await expect.poll(() => runs.length, { timeout: 10_000 }).toBeGreaterThan(before + 2);
    expect(runs.filter((name) => name === 'yearly')).toEqual(['yearly']);
    expect(await history('yearly')).toHaveLength(2);
  });

  it('survives FLUSHALL: its schedule comes back and what was run is not run again', async () => {
    await overdue('yearly');
    start([noting('yearly', YEARLY), noting('often', '* * * * * *')]);
    await expect.poll(() => runs.includes('yearly'), { timeout: 10_000 }).toBe(true);
    await expect.poll(schedulers).toHaveLength(2);
    await redis.client.flushall();
    await expect.poll(schedulers, { timeout: 10_000 }).toHaveLength(2);
    const before = runs.length;
    await expect.poll(() => runs.length, { timeout: 10_000 }).toBeGreaterThan(before + 1);
    expect(runs.filter((name) => name === 'yearly')).toHaveLength(1);
    const statuses = (await history('often')).map(({ status, attempts }) => `${status} ${attempts}`);
    expect(new Set(statuses.slice(1, -1))).toEqual(new Set(['completed 1']));
  });

  it('whose process died is taken over by the next', async () => {
    await overdue('yearly');
    await postgres.pool.query(
      `INSERT INTO spillway.job_runs (job, due_at, trigger, status)
       VALUES ('yearly', date_trunc('year', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', 'schedule', 'running')`,
    );
    start([noting('yearly', YEARLY)]);
    await expect
      .poll(() => history('yearly'), { timeout: 10_000 })
      .toMatchObject([{}, { status: 'completed', attempts: 2 }]);
  });

  it('that fails is tried again, and three times at most', async () => {
    await overdue('yearly');
    const failing: Job = {
      name: 'yearly',
      patterns: [YEARLY],
      run: async () => {
        runs.push('yearly');
        throw new Error('disk full');
      },
    };
    start([failing, noting('often', '* * * * * *')], { retryAfterMs: 1 });
    await expect
      .poll(() => history('yearly'), { timeout: 10_000 })
      .toMatchObject([{}, { status: 'failed', attempts: 3 }]);
    const before = runs.length;
    await expect.poll(() => runs.length, { timeout: 10_000 }).toBeGreaterThan(before + 1);
    expect(runs.filter((name) => name === 'yearly')).toHaveLength(3);
  });

  it('tells its progress as that of its BullMQ job, the last step too', async () => {
    await overdue('yearly');
    const table = 'public.api_call_logs';
    const seen = new AbortController();
    const telling: Job = {
      name: 'yearly',
      patterns: [YEARLY],
      run: async ({ onProgress }) => {
        onProgress({ table, done: 5_000, total: 12_000 });
        await once(seen.signal, 'abort');
        onProgress({ table, done: 10_000, total: 12_000 });
        onProgress({ table, done: 12_000, total: 12_000 });
        return { status: 'completed' };
      },
    };
    start([telling]);
    const queue = new Queue(MAINTENANCE_QUEUE, { connection: redis.client, prefix: DEFAULT_PREFIX });
    const told: unknown[] = [];
    const events = new QueueEvents(MAINTENANCE_QUEUE, {
      connection: redis.connect({ maxRetriesPerRequest: null }),
      prefix: DEFAULT_PREFIX,
    });
    events.on('progress', ({ data }) => told.push(data));
    const progress = async (): Promise<unknown> => (await queue.getJobs(['active'])).map((job) => job.progress);
    await expect.poll(progress, { timeout: 10_000 }).toEqual([{ table, done: 5_000, total: 12_000 }]);
    seen.abort();
    await expect.poll(() => told.at(-1), { timeout: 10_000 }).toEqual({ table, done: 12_000, total: 12_000 });
    await events.close();
    await queue.close();
  });

  it('waits while Postgres is away', async () => {
    const server = await startPostgres({ durable: true });
    await migrate({ connectionString: server.url });
    const pool = createPool({ connectionString: server.url, onError, connectTimeoutMs: 500 });
    await pool.query(
      `INSERT INTO spillway.job_runs (job, due_at, trigger, status)
       VALUES ('yearly', now() - interval '2 years', 'schedule', 'completed')`,
    );
    await server.kill();
    const scheduler = start([noting('yearly', YEARLY)], { pool });
    await expect.poll(schedulers, { timeout: 10_000 }).toHaveLength(1);
    expect(runs).toEqual([]);
    await server.restart();
    await expect.poll(() => runs, { timeout: 20_000 }).toEqual(['yearly']);
    await scheduler.close();
    await pool.end();
    await server.stop();
  }, 60_000);
});

describe('a worker whose clock is two days off', () => {
  it.each([
    ['ahead', 2],
    ['behind', -2],
  ])(
    '%s runs jobs when they are due by the clock of Postgres',
    async (_, days) => {
      const schedule = [redis.url, postgres.url, 'often', '*/2 * * * * *', String(days)];
      const child = await runFixture('schedule.fixture.ts', schedule, ['shifted-clock.fixture.ts']);
      children.push(child);
      const said = new Promise<string>((resolve) => {
        child.stdout?.once('data', (chunk: Buffer) => resolve(chunk.toString()));
      });
      const believes = Date.parse((await said).trim());
      expect(Math.round((believes - Date.now()) / 86_400_000)).toBe(days);
      await expect.poll(() => history('often'), { timeout: 20_000 }).toMatchObject({ length: 4 });
      const times = (await history('often')).map(({ due_at: dueAt }) => dueAt.getTime());
      expect(times.every((time) => Math.abs(time - Date.now()) < 60_000)).toBe(true);
      // Every one of them, none twice.
      expect(times.slice(2).map((time, index) => time - (times[index + 1] ?? 0))).toEqual([2_000, 2_000]);
    },
    60_000,
  );
});
