import { expect, it, afterEach, beforeEach, describe } from 'vitest';
import { scheduledJobs, overdueSince } from './due.ts';
import { once } from 'node:events';
import { createPool, migrate, readRun, withJobLock } from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { type Job, type JobName, REPLAY_JOB, type RunOutcome } from '../maintenance/job.ts';
import { lockName } from '../maintenance/run-job.ts';
import type { ReplaySelection } from '../recovery/replay-dead-letters.ts';
import { type Scheduler, type SchedulerOptions, startScheduler } from './scheduler.ts';
import { createMaintenanceQueue, findRequestedRun, type MaintenanceQueue, requestRun } from './maintenance-queue.ts';
import { connect } from '../options.ts';
import { archiveJob } from '../maintenance/maintenance-jobs.ts';
import { useMigratedPostgres, recordingLogger, runFixture } from '../../test/helpers.ts';

it('each job is due next at its time in UTC: daily and on Sundays, by the earliest of its patterns', () => {
  const saturday = Date.UTC(2026, 10, 28, 12);
  const due = scheduledJobs(saturday).map(({ name, nextMs }) => [name, new Date(nextMs).toISOString().slice(0, 16)]);
  expect(due).toEqual([
    ['cron-cleanup-rate-limits', '2026-11-29T03:00'],
    ['cron-create-partitions', '2026-11-29T00:30'],
    ['cron-archive-data', '2026-11-29T02:00'],
    ['cron-reconcile-audit', '2026-11-29T04:30'],
  ]);
});

const redis = useRedis();
const postgres = useMigratedPostgres();
const onError = (): void => {};
const NAME = 'cron-archive-data' satisfies JobName;
const LATE = { timeout: 30_000 };
let queue: MaintenanceQueue;
let running: { scheduler: Scheduler; disconnect: () => void }[];
let runs: string[];

beforeEach(() => {
  queue = createMaintenanceQueue({ connection: redis.client, onError });
  running = [];
  runs = [];
});
afterEach(async () => {
  await Promise.all(running.map(({ scheduler }) => scheduler.close()));
  for (const { disconnect } of running) disconnect();
  await queue.close();
});

function start(job: Job, options: Partial<SchedulerOptions> = {}): Scheduler {
  const connection = connect(redis.url, { option: 'redis', connectionName: 'schedule', onError });
  const given = { connection, pool: postgres.pool, logger: recordingLogger(), jobs: [job], checkIntervalMs: 50 };
  const scheduler = startScheduler({ ...given, ...options });
  running.push({ scheduler, disconnect: () => connection.disconnect() });
  return scheduler;
}

/** A job that notes its runs, due once a year. */
function noting(work: () => Promise<RunOutcome> = async () => ({ status: 'completed' })): Job {
  return {
    name: NAME,
    patterns: ['0 0 1 1 *'],
    run: async ({ runId }) => {
      runs.push(runId);
      return work();
    },
  };
}

const ask = async (dryRun = false): Promise<string> => (await requestRun(queue, { job: NAME, dryRun })).runId;

async function history(): Promise<unknown[]> {
  const { rows } = await postgres.pool.query(
    `SELECT id, trigger, status, attempts FROM spillway.job_runs WHERE status <> 'baseline' ORDER BY started_at`,
  );
  return rows;
}

/** Its history began two years ago, so it is due. */
const overdue = async (): Promise<unknown> =>
  postgres.pool.query(
    `INSERT INTO spillway.job_runs (job, due_at, trigger, status, started_at)
     VALUES ($1, now() - interval '2 years', 'schedule', 'baseline', now() - interval '2 years')`,
    [NAME],
  );

describe('a run that was asked for', () => {
  it('is one, however often it is asked for while it waits, and is made by one of several workers', async () => {
    const ids = await Promise.all([1, 2, 3].map(async () => ask()));
    const [id = ''] = ids;
    expect(new Set(ids).size).toBe(1);
    expect(await findRequestedRun(queue, id)).toEqual({ kind: 'queued', job: NAME, dryRun: false });
    for (let worker = 0; worker < 3; worker += 1) start(noting());
    await expect.poll(history, LATE).toEqual([{ id, trigger: 'http', status: 'completed', attempts: 1 }]);
    expect(runs).toEqual([id]);
    // The next one is another.
    await expect.poll(() => ask(), LATE).not.toBe(id);
  });

  it('is another one than a dry run', async () => {
    expect(await ask(true)).not.toBe(await ask());
  });

  it('while the schedule runs it is that run', async () => {
    await overdue();
    const gate = new AbortController();
    const job = noting(async () => {
      await once(gate.signal, 'abort');
      return { status: 'completed' };
    });
    start(job);
    start(job);
    await expect.poll(() => runs.length, LATE).toBe(1);
    const asked = await ask();
    await expect.poll(() => findRequestedRun(queue, asked), LATE).toEqual({ kind: 'joined', runId: runs[0] });
    gate.abort();
    const row = { id: runs[0], trigger: 'schedule', status: 'completed', attempts: 1 };
    await expect.poll(history, LATE).toEqual([row]);
  });

  it('and completed is not made again by the schedule that was due', async () => {
    await overdue();
    const gate = new AbortController();
    const held = noting(async () => {
      if (!gate.signal.aborted) await once(gate.signal, 'abort');
      return { status: 'completed' };
    });
    const asked = await ask();
    start(held);
    start(held);
    await expect.poll(() => runs.length, LATE).toBe(1);
    gate.abort();
    await expect.poll(async () => (await readRun(postgres.pool, asked))?.status, LATE).toBe('completed');
    expect(await overdueSince(postgres.pool, held)).toBeNull();
    await expect.poll(() => queue.getJobCountByTypes('waiting', 'active'), LATE).toBe(0);
    // The schedule may have been first; after what was asked for it has nothing to do.
    expect((await history()).at(-1)).toMatchObject({ id: asked, trigger: 'http', attempts: 1 });
    expect(runs.at(-1)).toBe(asked);
  });

  it('that fails is a failed job of the queue, which can be tried again in the same row', async () => {
    let works = false;
    start(noting(async () => (works ? { status: 'completed' } : { status: 'failed', errorMessage: 'disk full' })));
    const id = await ask();
    await expect.poll(async () => (await queue.getJob(id))?.failedReason, LATE).toBe('disk full');
    expect(await readRun(postgres.pool, id)).toMatchObject({ status: 'failed', errorMessage: 'disk full' });
    works = true;
    await (await queue.getJob(id))?.retry();
    await expect.poll(history, LATE).toEqual([{ id, trigger: 'http', status: 'completed', attempts: 2 }]);
  });

  it('whose worker is killed is resumed by another, as the next attempt of the same run', async () => {
    await postgres.pool.query(`
      INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, created_at)
      SELECT 'GET', '/', 200, 1, now() - interval '40 days' FROM generate_series(1, 100);
      CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';
      CREATE TRIGGER slow AFTER DELETE ON api_call_logs FOR EACH STATEMENT EXECUTE FUNCTION slow()`);
    const child = await runFixture('maintenance.fixture.ts', [redis.url, postgres.url]);
    const ended = once(child, 'exit');
    const id = await ask();
    const moved = async (): Promise<number> =>
      (await postgres.pool.query('SELECT FROM archive.api_call_logs')).rowCount ?? 0;
    await expect.poll(moved, LATE).toBeGreaterThan(0);
    child.kill('SIGKILL');
    await ended;
    expect(await moved()).toBeLessThan(100);
    expect(await findRequestedRun(queue, id)).toMatchObject({ kind: 'running' });
    await postgres.pool.query('DROP TRIGGER slow ON api_call_logs');
    start(archiveJob({ pool: postgres.pool, logger: recordingLogger() }));
    await expect.poll(history, LATE).toEqual([{ id, trigger: 'http', status: 'completed', attempts: 2 }]);
    expect(await moved()).toBe(100);
    const run = await readRun(postgres.pool, id);
    const statuses = run?.tables.map(({ tableName, status }) => `${tableName} ${status}`);
    expect(statuses?.slice(0, 2)).toEqual(['public.api_call_logs crashed', 'public.api_call_logs completed']);
    expect(run?.tables.reduce((sum, { archivedCount }) => sum + archivedCount, 0)).toBe(100);
  }, 90_000);

  it('of a replay is one with the same that is asked for meanwhile, and not with one of other letters', async () => {
    const replay = async (selection: ReplaySelection, dryRun = false) =>
      requestRun(queue, { job: REPLAY_JOB, dryRun, selection });
    const { kind, runId } = await replay({ ids: ['a'], limit: 5 });
    expect(kind).toBe('requested');
    expect(await replay({ limit: 5, ids: ['a'] })).toEqual({ kind, runId });
    for (const other of [{}, { ids: ['b'], limit: 5 }, { ids: ['a'] }]) {
      expect(await replay(other)).toEqual({ kind: 'occupied', runId });
    }
    expect(await replay({ ids: ['b'] }, true)).toMatchObject({ kind: 'requested' });
    expect(await queue.getJobCountByTypes('waiting')).toBe(2);
  });

  it('of a replay waits while another process replays other letters, and is made afterwards with its own', async () => {
    const selections: unknown[] = [];
    const job: Job = {
      name: REPLAY_JOB,
      patterns: [],
      run: async ({ selection }) => {
        selections.push(selection);
        return { status: 'completed' };
      },
    };
    const { runId } = await requestRun(queue, { job: REPLAY_JOB, dryRun: false, selection: { limit: 7 } });
    const looked = async (): Promise<number> => Number((await queue.getJob(runId))?.attemptsStarted);
    await withJobLock(postgres.pool, lockName(REPLAY_JOB, false), async () => {
      await postgres.pool.query(`INSERT INTO spillway.job_runs (job, trigger) VALUES ('${REPLAY_JOB}', 'cli')`);
      start(job);
      await expect.poll(looked, LATE).toBeGreaterThan(1);
      expect(selections).toEqual([]);
    });
    await expect.poll(async () => (await readRun(postgres.pool, runId))?.status, LATE).toBe('completed');
    expect(selections).toEqual([{ limit: 7 }]);
  });

  it('is all that runs a job without a schedule', async () => {
    start({ ...noting(), patterns: [] });
    const id = await ask();
    await expect.poll(() => runs, LATE).toEqual([id]);
    expect(await queue.getJobSchedulers()).toEqual([]);
    expect(await history()).toMatchObject([{ id, trigger: 'http' }]);
  });

  it('waits in the queue while Postgres is away', async () => {
    const server = await startPostgres({ durable: true });
    await migrate({ connectionString: server.url });
    const pool = createPool({ connectionString: server.url, onError, connectTimeoutMs: 500 });
    await server.kill();
    const logger = recordingLogger();
    const scheduler = start(noting(), { pool, logger });
    const id = await ask();
    await expect.poll(() => logger.messages, LATE).toContain('schedule: Postgres is unavailable');
    await expect.poll(() => findRequestedRun(queue, id), LATE).toMatchObject({ kind: 'queued' });
    await server.restart();
    await expect.poll(() => runs, LATE).toEqual([id]);
    await scheduler.close();
    await pool.end();
    await server.stop();
  }, 90_000);
});
