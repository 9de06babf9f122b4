import { migrate, ensureMetricDays, withConnection, createPool, type Queryable } from '@spillway/db';
import { usePostgres } from '@spillway/local-servers/testing';
import { expect, it, afterEach, beforeEach, describe, vi } from 'vitest';
import { archiveData, cleanupRateLimits } from './maintenance-jobs.ts';
import type { MaintenanceDeps } from './job.ts';
import { agreedNow } from './run-tables.ts';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { startPostgres } from '@spillway/local-servers';
import { useMigratedPostgres, recordingLogger, runFixture } from '../../test/helpers.ts';

/** Number of rows, number of ids and a sum over all contents of source ∪ archive; and what is in both. */
async function fingerprint(pool: Queryable): Promise<object> {
  const { rows } = await pool.query<Record<string, unknown>>(`
  SELECT count(*)::int AS rows, count(DISTINCT id)::int AS ids, sum(hashtextextended(content, 0))::text AS contents,
         (SELECT count(*)::int FROM api_call_logs JOIN archive.api_call_logs USING (id)) AS both
  FROM (SELECT id, to_jsonb(l)::text AS content FROM api_call_logs l
        UNION ALL
        SELECT id, (to_jsonb(a) - 'archived_at')::text FROM archive.api_call_logs a) AS everything`);
  return rows[0] ?? {};
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
}

describe('a table that is not there', () => {
  const postgres = usePostgres({ scope: 'test' });

  it('archives plain tables by rows and partitioned ones by partitions, in one report and one history', async () => {
    await postgres.pool.query(`
    CREATE TABLE api_call_logs (id int, created_at timestamptz, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
    CREATE TABLE old PARTITION OF api_call_logs FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00');
    CREATE TABLE young PARTITION OF api_call_logs FOR VALUES FROM ('2020-02-01 00:00+00') TO (MAXVALUE);
    INSERT INTO api_call_logs SELECT n, '2020-01-15 00:00+00' FROM generate_series(1, 7) AS n;
    INSERT INTO api_call_logs VALUES (8, '2020-03-03 00:00+00'), (9, now())`);
    await migrate({ connectionString: postgres.url });
    await postgres.pool.query(`
    INSERT INTO audit_logs (action, resource_type, created_at)
    SELECT 'login', 'user', now() - interval '91 days' FROM generate_series(1, 3)`);
    const report = await archiveData({ pool: postgres.pool, logger: recordingLogger() });
    expect(report).toMatchObject({
      status: 'completed',
      tables: [
        {
          table: 'public.api_call_logs',
          archived: 8,
          deleted: 8,
          details: {
            partitionsMoved: [{ partition: 'archive.api_call_logs_2020_01', rows: 7 }],
            partitionsCreated: ['api_call_logs_2020_03'],
            partitionsWaiting: [],
            batches: 1,
          },
        },
        { table: 'public.audit_logs', archived: 3, details: { partitionsMoved: [] } },
        { table: 'public.generations', archived: 0 },
      ],
    });
    const history = await postgres.pool.query(
      'SELECT archived_count::int AS archived FROM archive.archival_runs ORDER BY started_at',
    );
    expect(history.rows).toEqual([{ archived: 8 }, { archived: 3 }, { archived: 0 }]);
  });
});

describe('clocks', () => {
  const DAY_MS = 86_400_000;
  const postgres = useMigratedPostgres();

  beforeEach(async () => {
    await withConnection(postgres.pool, async (connection) => ensureMetricDays(connection, { daysBehind: 32 }));
    await postgres.pool.query(`
    INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, created_at)
    SELECT 'GET', '/', 200, 1, now() - interval '31 days' FROM generate_series(1, 12);
    INSERT INTO system_metrics (metric_name, metric_value, recorded_at)
    SELECT 'm', 1, now() - interval '32 days' FROM generate_series(1, 5)`);
  });
  afterEach(() => void vi.useRealTimers());

  const deps = (clocks: MaintenanceDeps['clocks'] = {}): MaintenanceDeps => ({
    pool: postgres.pool,
    logger: recordingLogger(),
    clocks,
  });
  const left = async (): Promise<unknown> =>
    (
      await postgres.pool.query(`SELECT (SELECT count(*)::int FROM api_call_logs) AS calls,
      (SELECT count(*)::int FROM system_metrics WHERE metric_name = 'm') AS metrics`)
    ).rows[0];

  describe('while clocks disagree nothing is deleted or archived', () => {
    it.each([-8, 8])('when Redis is %d days off', async (days) => {
      const clocks = { redis: async () => Date.now() + days * DAY_MS };
      const cleanup = await cleanupRateLimits(deps(clocks));
      expect(cleanup.status).toBe('failed');
      expect(cleanup.tables[0]?.errorMessage).toMatch(/the clocks disagree .*redis \+.*nothing is deleted/u);
      expect((await archiveData(deps(clocks))).status).toBe('failed');
      expect(await left()).toEqual({ calls: 12, metrics: 5 });
    });

    it.each([-8, 40])('when this process is %d days off', async (days) => {
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + days * DAY_MS });
      expect((await cleanupRateLimits(deps())).status).toBe('failed');
      expect((await archiveData(deps())).status).toBe('failed');
      expect(await left()).toEqual({ calls: 12, metrics: 5 });
    });
  });

  it('of clocks that agree the earliest counts', async () => {
    const now = await agreedNow(postgres.pool, { redis: async () => Date.now() - 30_000 });
    expect(Math.abs(now.getTime() - (Date.now() - 30_000))).toBeLessThan(25_000);
  });

  it('a clock that gives no answer has no say', async () => {
    const clocks = { redis: async () => Promise.reject(new Error('away')) };
    expect((await cleanupRateLimits(deps(clocks))).status).toBe('completed');
    expect(await left()).toEqual({ calls: 12, metrics: 0 });
  });
});

describe('a killed run', () => {
  const ROWS = 200_000;

  it('archives 200,000 rows, none lost and none doubled, though it is killed twice and Postgres once', async () => {
    const server = await startPostgres({ durable: true });
    await migrate({ connectionString: server.url });
    const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 120_000 });
    await pool.query(`
    INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
    SELECT 'user-' || n % 100, 'GET', '/v1/' || n, 200, n % 500, now() - interval '31 days' - n * interval '40 seconds'
    FROM generate_series(1, ${ROWS}) AS n`);
    await pool.query(`
    INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, created_at)
    SELECT 'GET', '/young', 200, 1, now() - interval '29 days' FROM generate_series(1, 100)`);
    const before = await fingerprint(pool);
    expect(before).toMatchObject({ rows: ROWS + 100, ids: ROWS + 100, both: 0 });

    const runUntil = async (enough: number, interrupt: (child: ChildProcess) => Promise<unknown>) => {
      const child = await runFixture('archive.fixture.ts', [server.url, '1000']);
      const ended = once(child, 'exit');
      const lines: { done?: number; status?: string; crashedBefore?: number }[] = [];
      let interrupted: Promise<unknown> | undefined;
      for await (const line of createInterface({ input: child.stdout ?? process.stdin })) {
        const said = JSON.parse(line);
        lines.push(said);
        if (said.done >= enough) interrupted ??= interrupt(child);
      }
      await ended;
      await interrupted;
      return lines.at(-1);
    };

    await runUntil(20_000, kill);
    expect(await fingerprint(pool)).toEqual(before);
    await runUntil(50_000, kill);
    await runUntil(30_000, async () => {
      await server.kill();
      await server.restart();
    });
    await expect.poll(() => fingerprint(pool).catch(() => null), { timeout: 20_000 }).toEqual(before);
    expect(await runUntil(Number.POSITIVE_INFINITY, kill)).toMatchObject({ status: 'completed', crashedBefore: 1 });

    expect(await fingerprint(pool)).toEqual(before);
    const left = await pool.query(`SELECT count(*)::int AS live FROM api_call_logs`);
    expect(left.rows).toEqual([{ live: 100 }]);
    const runs = await pool.query(
      `SELECT array_agg(status ORDER BY started_at) AS statuses, sum(archived_count)::int AS archived,
            sum(deleted_count)::int AS deleted FROM archive.archival_runs`,
    );
    // The counts are committed with the rows, so those of dead runs are exact too.
    expect(runs.rows).toEqual([
      { statuses: ['crashed', 'crashed', 'crashed', 'completed'], archived: ROWS, deleted: ROWS },
    ]);
    await pool.end();
    await server.stop();
  }, 180_000);
});
