import { withJobLock } from '@spillway/db';
import { maintenanceJobNames } from '@spillway/worker';
import { beforeEach, describe, expect, it } from 'vitest';
import { memoryLog } from '../testing/memory-log.ts';
import { useApi } from '../testing/use-api.ts';
import { maintenanceControl } from './maintenance-control.ts';

/** Long enough for the slowest machine, unless a test wants to see the answer to a run that goes on. */
let answerWithinMs: number;
beforeEach(() => {
  answerWithinMs = 30_000;
});

const api = useApi((pool) => {
  const control = maintenanceControl({ pool, logger: memoryLog().logger });
  const maintenance = {
    run: control.run,
    close: control.close,
    get answerWithinMs() {
      return answerWithinMs;
    },
  };
  return { maintenance };
});

const path = (job: string): string => `/functions/v1/${job}`;
/** Just what pg_net sends for the guide's statement: no body was given, so it is `{}`. */
const post = async (job: string, body: unknown = {}): Promise<Response> => api.ask('POST', path(job), { body });

async function addOldRows(): Promise<void> {
  await api.pool.query(`
    INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, created_at)
    SELECT 'GET', '/x', 200, 1, now() - interval '40 days' FROM generate_series(1, 7)`);
}

async function count(table: string): Promise<number> {
  const { rows } = await api.pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`);
  return rows[0]?.n ?? 0;
}

describe.each(maintenanceJobNames)('POST /functions/v1/%s', (job) => {
  it('does its work and reports it, with the body that pg_net sends and without one', async () => {
    for (const body of [{}, undefined, { any: 'thing' }]) {
      const response = await api.ask('POST', path(job), body === undefined ? {} : { body });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ job, status: 'completed', dryRun: false });
    }
    const history = await api.ask('GET', `/v1/audit/archival-runs?jobName=${job}`);
    const { rows } = (await history.json()) as { rows: { runId: string; status: string }[] };
    expect(new Set(rows.map(({ runId }) => runId)).size).toBe(3);
    expect(rows.every(({ status }) => status === 'completed')).toBe(true);
  });

  it('answers 202 and does nothing while another process is at it', async () => {
    await withJobLock(api.pool, job, async () => {
      const response = await post(job);
      expect(response.status).toBe(202);
      expect(response.headers.get('Location')).toBe(`/v1/audit/archival-runs?jobName=${job}`);
      expect(await response.json()).toEqual({ job, status: 'running', dryRun: false });
    });
    expect(await count('archive.archival_runs')).toBe(0);
  });

  it('needs the scope maintain', async () => {
    for (const as of ['decide', 'read', 'metrics', 'operate'] as const) {
      expect((await api.ask('POST', path(job), { body: {}, as })).status).toBe(403);
    }
  });
});

it('archives tables of one’s own too', async () => {
  await api.pool.query(`
    CREATE TABLE sessions (id int PRIMARY KEY, created_at timestamptz NOT NULL);
    CREATE TABLE archive.sessions (LIKE sessions) PARTITION BY RANGE (created_at);
    INSERT INTO sessions SELECT n, now() - n * interval '1 day' FROM generate_series(1, 20) AS n`);
  const source = { schema: 'public', name: 'sessions' };
  const target = { schema: 'archive', name: 'sessions' };
  const control = maintenanceControl({
    pool: api.pool,
    logger: memoryLog().logger,
    archiveTables: [{ source, target, retentionDays: 14 }],
  });
  const { tables } = await control.run('cron-archive-data', { dryRun: false });
  expect(tables.map(({ table, archived }) => [table, archived])).toContainEqual(['public.sessions', 7]);
  await control.close();
});

describe('cron-archive-data', () => {
  const job = 'cron-archive-data';

  it('moves rows once, however often it is called', async () => {
    await post('cron-create-partitions');
    await addOldRows();
    const answers = await Promise.all([post(job), post(job), post(job)]);
    expect(answers.map(({ status }) => status)).toContain(200);
    await expect.poll(async () => (await post(job)).status).toBe(200);
    expect([await count('api_call_logs'), await count('archive.api_call_logs')]).toEqual([0, 7]);
  });

  it('moves nothing in a dry run, and says what it would', async () => {
    await post('cron-create-partitions');
    await addOldRows();
    for (const response of [await post(job, { dryRun: true }), await api.ask('POST', `${path(job)}?dryRun=true`)]) {
      const { dryRun, tables } = (await response.json()) as { dryRun: boolean; tables: Record<string, unknown>[] };
      expect(dryRun).toBe(true);
      expect(tables.find(({ table }) => table === 'public.api_call_logs')).toMatchObject({ archived: 7 });
    }
    expect(await count('api_call_logs')).toBe(7);
  });

  it('answers 202 when it takes longer, and goes on', async () => {
    await post('cron-create-partitions');
    await addOldRows();
    const client = await api.pool.connect();
    await client.query('BEGIN');
    await client.query('LOCK TABLE api_call_logs');
    answerWithinMs = 100;
    expect((await post(job)).status).toBe(202);
    await client.query('ROLLBACK');
    client.release();
    await expect.poll(() => count('archive.api_call_logs')).toBe(7);
  });

  it('answers 500 with the run to look up when it failed', async () => {
    await api.pool.query(`
      ALTER TABLE api_call_logs ALTER endpoint TYPE varchar(99);
      ALTER TABLE audit_logs ALTER action TYPE varchar(99);
      ALTER TABLE generations ALTER provider TYPE varchar(99)`);
    const response = await post(job);
    expect([response.status, response.headers.get('Content-Type')]).toEqual([500, 'application/problem+json']);
    const { runId } = (await response.json()) as { runId: string };
    expect(await (await api.ask('GET', `/v1/audit/archival-runs?runId=${runId}`)).json()).toMatchObject({
      rows: [{ status: 'failed', errorMessage: expect.any(String) as string }, {}, {}],
    });
  });

  it.each([[{ dryRun: 'yes' }], [[]], ['text']])('refuses the body %j', async (body) => {
    expect((await post(job, body)).status).toBe(400);
  });
});
