import { createPool, withJobLock } from '@spillway/db';
import { useLogins, useRedis } from '@spillway/local-servers/testing';
import { jobNames } from '@spillway/worker';
import { describe, expect, it } from 'vitest';
import { useApi, memoryLog, queuesOf, workersOf } from '../test/use-api.ts';
import { openWorkerQueues } from './queues.ts';
import { maintenanceControl } from './maintenance-runs.ts';

const redis = useRedis();

interface Run {
  readonly id: string;
  readonly job: string;
  readonly status: string;
  readonly attempts: number;
  readonly dryRun: boolean;
  readonly tables: readonly Record<string, unknown>[];
}
const guideJobs = jobNames.filter((job) => job !== 'cron-reconcile-audit');
const job = 'cron-archive-data';
const path = (name: string): string => `/functions/v1/${name}`;

describe('with a worker', () => {
  const api = useApi((_, tools) => workersOf({ ...tools, redisUrl: redis.url }));
  /** Just what pg_net sends for the guide's statement: no body was given, so it is `{}`. */
  const post = async (name: string, body: unknown = {}): Promise<Response> => api.ask('POST', path(name), { body });
  const count = async (table: string): Promise<number> =>
    (await api.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`)).rows[0]?.n ?? 0;
  const addOldRows = async (): Promise<unknown> =>
    api.pool.query(`
      INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, created_at)
      SELECT 'GET', '/x', 200, 1, now() - interval '40 days' FROM generate_series(1, 7)`);
  const runs = async (): Promise<unknown[]> =>
    (await api.pool.query(`SELECT job, trigger, status FROM spillway.job_runs WHERE status <> 'baseline'`)).rows;

  it.each(guideJobs)('POST /functions/v1/%s answers 200 at its end, with and without a body', async (name) => {
    for (const body of [{}, undefined, { any: 'thing' }]) {
      const response = await api.ask('POST', path(name), body === undefined ? {} : { body });
      expect(response.status).toBe(200);
      const run = (await response.json()) as Run;
      expect(run).toMatchObject({ job: name, trigger: 'http', status: 'completed', attempts: 1, dueAtMs: null });
      expect(run.tables.length).toBeGreaterThan(0);
      expect(await (await api.ask('GET', `/v1/maintenance/runs/${run.id}`, { as: 'read' })).json()).toEqual(run);
    }
    expect(await runs()).toEqual(
      Array.from({ length: 3 }, () => ({ job: name, trigger: 'http', status: 'completed' })),
    );
  });

  it.each(jobNames)('POST /v1/maintenance/%s does the same', async (name) => {
    const response = await api.ask('POST', `/v1/maintenance/${name}`, { as: 'maintain' });
    expect([response.status, await response.json()]).toMatchObject([200, { job: name, status: 'completed' }]);
  });

  it('refuses a job that there is not', async () => {
    expect((await api.ask('POST', '/v1/maintenance/cron-nothing')).status).toBe(400);
  });

  it.each([[{ dryRun: 'yes' }], [[]], ['text']])('refuses the body %j', async (body) => {
    expect((await post(job, body)).status).toBe(400);
  });

  it('moves rows once, however often it is called at once, in one run', async () => {
    await addOldRows();
    const answers = await Promise.all([post(job), post(job), post(job)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const ids = await Promise.all(answers.map(async (answer) => ((await answer.json()) as Run).id));
    expect(new Set(ids).size).toBe((await runs()).length);
    expect([await count('api_call_logs'), await count('archive.api_call_logs')]).toEqual([0, 7]);
  });

  it('moves nothing in a dry run, and says what it would', async () => {
    await addOldRows();
    for (const response of [await post(job, { dryRun: true }), await api.ask('POST', `${path(job)}?dryRun=true`)]) {
      const { dryRun, tables } = (await response.json()) as Run;
      expect(dryRun).toBe(true);
      expect(tables.find(({ tableName }) => tableName === 'public.api_call_logs')).toMatchObject({ archivedCount: 7 });
    }
    expect(await count('api_call_logs')).toBe(7);
  });

  it('answers 500 with the run to look up when it failed', async () => {
    await api.pool.query(`
      ALTER TABLE api_call_logs ALTER endpoint TYPE varchar(99);
      ALTER TABLE audit_logs ALTER action TYPE varchar(99);
      ALTER TABLE generations ALTER provider TYPE varchar(99)`);
    const response = await post(job);
    expect([response.status, response.headers.get('Content-Type')]).toEqual([500, 'application/problem+json']);
    const { runId, detail } = (await response.json()) as { runId: string; detail: string };
    expect(detail).toContain(`/v1/maintenance/runs/${runId}`);
    expect(await (await api.ask('GET', `/v1/maintenance/runs/${runId}`)).json()).toMatchObject({
      status: 'failed',
      errorMessage: expect.stringContaining('public.audit_logs') as string,
      tables: [{ status: 'failed' }, { status: 'failed' }, { status: 'failed' }],
    });
  });
});

describe('within its time to answer', () => {
  const api = useApi((_, tools) => workersOf({ ...tools, redisUrl: redis.url, answerWithinMs: 100 }));

  it('answers 202 with where to look while the run goes on, and there it ends', async () => {
    const client = await api.pool.connect();
    await client.query('BEGIN');
    await client.query('LOCK TABLE api_call_logs');
    const response = await api.ask('POST', path(job), { as: 'maintain' });
    const { id } = (await response.json()) as Run;
    const place = `/v1/maintenance/runs/${id}`;
    expect([response.status, response.headers.get('Location')]).toEqual([202, place]);
    const look = async (): Promise<Run> => (await (await api.ask('GET', place, { as: 'maintain' })).json()) as Run;
    await expect.poll(look, { timeout: 10_000 }).toMatchObject({ id, status: 'running', attempts: 1 });
    await client.query('ROLLBACK');
    client.release();
    await expect.poll(look, { timeout: 10_000 }).toMatchObject({ id, status: 'completed', tables: [{}, {}, {}] });
  });

  it('leads to the run that another process has in hand, and begins no second one', async () => {
    await withJobLock(api.pool, job, async () => {
      const { rows } = await api.pool.query<{ id: string }>(
        `INSERT INTO spillway.job_runs (job, trigger) VALUES ('${job}', 'cli') RETURNING id`,
      );
      const response = await api.ask('POST', path(job));
      const { id } = (await response.json()) as Run;
      const place = response.headers.get('Location') ?? '';
      expect([response.status, place]).toEqual([202, `/v1/maintenance/runs/${id}`]);
      const look = async (): Promise<unknown> => (await api.ask('GET', place)).json();
      await expect
        .poll(look, { timeout: 10_000 })
        .toMatchObject({ id: rows[0]?.id, trigger: 'cli', status: 'running' });
    });
    expect((await api.pool.query(`SELECT FROM spillway.job_runs WHERE status <> 'baseline'`)).rowCount).toBe(1);
  });
});

describe('without a worker', () => {
  const api = useApi((_, tools) => queuesOf({ ...tools, redisUrl: redis.url }));

  it('a run waits in the queue, and the same is asked for once', async () => {
    const [one, other] = [await api.ask('POST', path(job)), await api.ask('POST', `/v1/maintenance/${job}`)];
    expect([one.status, other.status]).toEqual([202, 202]);
    const run = (await one.json()) as Run;
    expect(run).toMatchObject({ job, status: 'queued', attempts: 0, dryRun: false, startedAtMs: null, tables: [] });
    expect(await other.json()).toEqual(run);
    expect(await (await api.ask('GET', `/v1/maintenance/runs/${run.id}`)).json()).toEqual(run);
    expect(await (await api.ask('POST', `${path(job)}?dryRun=true`)).json()).not.toMatchObject({ id: run.id });
  });

  it('knows no run that nobody asked for', async () => {
    const id = '00000000-0000-4000-8000-000000000000';
    expect((await api.ask('GET', `/v1/maintenance/runs/${id}`)).status).toBe(404);
    expect((await api.ask('GET', '/v1/maintenance/runs/1')).status).toBe(400);
  });

  it('needs the scope maintain', async () => {
    for (const as of ['decide', 'read', 'metrics', 'operate'] as const) {
      expect((await api.ask('POST', path(job), { body: {}, as })).status).toBe(403);
    }
  });
});

describe('without Redis', () => {
  const api = useApi((_, tools) => queuesOf({ ...tools, redisUrl: 'redis://127.0.0.1:1' }));

  it('answers 503, and leaves no change that was not made', async () => {
    const response = await api.ask('POST', path(job));
    expect([response.status, response.headers.get('Retry-After')]).toEqual([503, '1']);
    expect((await api.pool.query('SELECT FROM spillway.changes')).rowCount).toBe(0);
  });
});

describe("the API's user", () => {
  const api = useApi((_, tools) => workersOf({ ...tools, redisUrl: redis.url }));
  const logins = useLogins();

  it('may ask for a run and read it, and can neither archive nor delete', async () => {
    const url = await logins.create(api.pool.options.connectionString ?? '', 'spillway_api', 'spillway_reader');
    const login = createPool({ connectionString: url, onError: () => undefined });
    const queues = openWorkerQueues(redis.url, '', memoryLog().logger);
    const control = maintenanceControl({ queues, db: login });
    const { runId: id } = await control.start({ job, dryRun: false });
    await expect.poll(() => control.find(id), { timeout: 20_000 }).toMatchObject({ id, status: 'completed' });
    for (const statement of [
      'DELETE FROM api_call_logs',
      'DELETE FROM rate_limits_v2',
      'INSERT INTO archive.api_call_logs SELECT * FROM archive.api_call_logs',
      'DELETE FROM archive.api_call_logs',
      'DROP TABLE archive.api_call_logs',
      `INSERT INTO spillway.job_runs (job, trigger) VALUES ('x', 'http')`,
      `UPDATE spillway.job_runs SET status = 'completed'`,
      'DELETE FROM archive.archival_runs',
      `UPDATE spillway.audit_gaps SET kind = 'x'`,
      'DELETE FROM spillway.audit_gaps',
    ]) {
      await expect(login.query(statement), statement).rejects.toMatchObject({ code: '42501' });
    }
    await login.query('UPDATE spillway.audit_gaps SET resolved_at = now() WHERE resolved_at IS NULL');
    await queues.close();
    await login.end();
  });
});
