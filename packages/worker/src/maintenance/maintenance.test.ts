import { builtInCleanups, ensureMetricDays, migrate, withConnection, withJobLock } from '@spillway/db';
import { usePostgres } from '@spillway/local-servers/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { jobNames, type JobProgress, type MaintainedTable, type MaintenanceDeps } from './job.ts';
import { archiveData, cleanupRateLimits, createPartitions, isJobName, tableJobs } from './maintenance-jobs.ts';
import { lockName } from './run-job.ts';
import { type RecordingLogger, recordingLogger } from '../../test/helpers.ts';

const postgres = usePostgres({
  migrate: async (url) => {
    await migrate({ connectionString: url });
  },
  template: 'worker',
  scope: 'test',
});
let logger: RecordingLogger;
let deps: MaintenanceDeps;

beforeEach(async () => {
  await withConnection(postgres.pool, async (connection) => ensureMetricDays(connection, { daysBehind: 32 }));
  logger = recordingLogger();
  deps = { pool: postgres.pool, logger };
  await postgres.pool.query(`
    INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, created_at)
    SELECT 'GET', '/', 200, 1, now() - interval '31 days' FROM generate_series(1, 12);
    INSERT INTO audit_logs (action, resource_type, created_at)
    SELECT 'login', 'user', now() - interval '91 days' FROM generate_series(1, 3);
    INSERT INTO generations (user_id, provider, status, created_at)
    SELECT 'ada', 'runware', status, now() - interval '181 days' FROM unnest(ARRAY['completed', 'pending']) AS status;
    INSERT INTO system_metrics (metric_name, metric_value, recorded_at)
    SELECT 'm', 1, now() - interval '32 days' FROM generate_series(1, 5)`);
});

async function rows(sql: string): Promise<unknown[]> {
  return (await postgres.pool.query(sql)).rows;
}

function monthly(name: string): MaintainedTable {
  return { source: { schema: 'public', name }, target: { schema: 'archive', name }, retentionDays: 30 };
}

const history = `
  SELECT job_name, table_name, status, archived_count::int AS archived, deleted_count::int AS deleted, dry_run
  FROM archive.archival_runs ORDER BY started_at, table_name`;

describe('cron-archive-data', () => {
  it('archives the three tables, with a row of history for each', async () => {
    const progress: JobProgress[] = [];
    const report = await archiveData(deps, { onProgress: (each) => progress.push(each) });
    expect(report).toMatchObject({ job: 'cron-archive-data', status: 'completed', crashedBefore: 0, dryRun: false });
    expect(report.tables.map(({ table, archived, deleted }) => [table, archived, deleted])).toEqual([
      ['public.api_call_logs', 12, 12],
      ['public.audit_logs', 3, 3],
      ['public.generations', 1, 1],
    ]);
    expect(progress).toEqual([
      { table: 'public.api_call_logs', done: 12, total: 12 },
      { table: 'public.audit_logs', done: 3, total: 3 },
      { table: 'public.generations', done: 1, total: 1 },
    ]);
    const row = { job_name: 'cron-archive-data', status: 'completed', dry_run: false };
    expect(await rows(history)).toEqual([
      { ...row, table_name: 'public.api_call_logs', archived: 12, deleted: 12 },
      { ...row, table_name: 'public.audit_logs', archived: 3, deleted: 3 },
      { ...row, table_name: 'public.generations', archived: 1, deleted: 1 },
    ]);
  });

  it('goes on with the other tables when one fails, and says why', async () => {
    await postgres.pool.query('ALTER TABLE audit_logs ALTER action TYPE varchar(99)');
    const report = await archiveData(deps);
    expect(report.status).toBe('partial');
    expect(report.tables.map(({ status }) => status)).toEqual(['completed', 'failed', 'completed']);
    const why =
      'public.audit_logs: column "action" is character varying(99) in the source, but text in target archive.audit_logs';
    expect(report.tables[1]?.errorMessage).toBe(why);
    expect(await rows(`SELECT error_message FROM archive.archival_runs WHERE status = 'failed'`)).toEqual([
      { error_message: why },
    ]);
    expect(await rows('SELECT count(*)::int AS n FROM audit_logs')).toEqual([{ n: 3 }]);
  });

  it('only looks in a dry run', async () => {
    const report = await archiveData(deps, { dryRun: true });
    expect(report.tables.map(({ archived }) => archived)).toEqual([12, 3, 1]);
    expect(await rows('SELECT count(*)::int AS n FROM api_call_logs')).toEqual([{ n: 12 }]);
    expect(await rows('SELECT bool_and(dry_run) AS dry FROM archive.archival_runs')).toEqual([{ dry: true }]);
  });

  it('is partial when its time runs out, and done the next time', async () => {
    expect((await archiveData(deps, { timeBudgetMs: 0 })).tables.map(({ status }) => status)).toEqual([
      'partial',
      'partial',
      'partial',
    ]);
    expect((await archiveData(deps)).status).toBe('completed');
  });

  it('does nothing while another process runs it, and names the run that is going on', async () => {
    const held = await withJobLock(postgres.pool, lockName('cron-archive-data', false), async () => {
      expect(await archiveData(deps)).toMatchObject({ status: 'busy', runId: null, tables: [] });
      const {
        rows: [run],
      } = await postgres.pool.query<{ id: string }>(
        `INSERT INTO spillway.job_runs (job, trigger) VALUES ('cron-archive-data', 'schedule') RETURNING id`,
      );
      expect(await archiveData(deps)).toMatchObject({ status: 'busy', runId: run?.id, tables: [] });
      // A dry run changes nothing, and waits for nobody.
      return archiveData(deps, { dryRun: true });
    });
    expect(held).toMatchObject({ acquired: true, result: { status: 'completed', dryRun: true } });
    expect(await rows(`SELECT FROM archive.archival_runs WHERE NOT dry_run`)).toEqual([]);
  });

  it('is one run when two processes ask at once, and both are told which', async () => {
    const reports = await Promise.all([archiveData(deps), archiveData(deps), archiveData(deps)]);
    expect(new Set(reports.map(({ runId }) => runId)).size).toBe(1);
    expect(reports.map(({ status }) => status).toSorted()).toEqual(['busy', 'busy', 'completed']);
    expect(await rows('SELECT job, trigger, status, attempts FROM spillway.job_runs')).toEqual([
      { job: 'cron-archive-data', trigger: 'cli', status: 'completed', attempts: 1 },
    ]);
  });

  it('marks runs that died', async () => {
    await postgres.pool.query(
      `INSERT INTO archive.archival_runs (job_name, table_name, archived_count) VALUES ('cron-archive-data', 'x', 7)`,
    );
    expect((await archiveData(deps)).crashedBefore).toBe(1);
    expect(await rows(`SELECT status, archived_count FROM archive.archival_runs WHERE table_name = 'x'`)).toEqual([
      { status: 'crashed', archived_count: '7' },
    ]);
  });

  it('leaves rows that are completed, partial, failed and crashed', async () => {
    await postgres.pool.query(`
      INSERT INTO archive.archival_runs (job_name, table_name, started_at)
      VALUES ('cron-archive-data', 'public.died', now() - interval '1 hour');
      ALTER TABLE audit_logs ALTER action TYPE varchar(99);
      INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, created_at)
      SELECT 'GET', '/', 200, 1, now() - interval '29 days 12 hours' FROM generate_series(1, 10)`);
    const stop = new AbortController();
    const tables = [
      ...['audit_logs', 'api_call_logs', 'generations'].map(monthly),
      // Has two batches to move, and is stopped after the first.
      { ...monthly('api_call_logs'), retentionDays: 29, batchSize: 5 },
    ];
    const onProgress = ({ total }: JobProgress): void => {
      if (total === 10) stop.abort();
    };
    const report = await archiveData({ ...deps, tables }, { signal: stop.signal, onProgress });
    expect(report).toMatchObject({ status: 'partial', crashedBefore: 1 });
    expect(await rows('SELECT table_name, status FROM archive.archival_runs ORDER BY started_at')).toEqual([
      { table_name: 'public.died', status: 'crashed' },
      { table_name: 'public.audit_logs', status: 'failed' },
      { table_name: 'public.api_call_logs', status: 'completed' },
      { table_name: 'public.generations', status: 'completed' },
      { table_name: 'public.api_call_logs', status: 'partial' },
    ]);
  });

  it('says "running" of a table while it is at it', async () => {
    await postgres.pool.query(`
      CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END';
      CREATE TRIGGER slow AFTER DELETE ON api_call_logs FOR EACH STATEMENT EXECUTE FUNCTION slow()`);
    const running = archiveData(deps);
    await expect
      .poll(() => rows('SELECT table_name, status, finished_at FROM archive.archival_runs'), {
        interval: 5,
        timeout: 10_000,
      })
      .toEqual([{ table_name: 'public.api_call_logs', status: 'running', finished_at: null }]);
    await running;
  });

  it('archives any table by configuration', async () => {
    await postgres.pool.query(`
      CREATE TABLE sessions (id int PRIMARY KEY, seen_at timestamp NOT NULL, pinned bool NOT NULL);
      CREATE TABLE archive.sessions (LIKE sessions) PARTITION BY RANGE (seen_at);
      INSERT INTO sessions SELECT n, now() - n * interval '1 day', n % 2 = 0 FROM generate_series(0, 9) AS n`);
    const sessions = {
      source: { schema: 'public', name: 'sessions' },
      target: { schema: 'archive', name: 'sessions' },
      timestampColumn: 'seen_at',
      retentionDays: 4,
      where: 'NOT pinned',
      batchSize: 2,
    };
    const report = await archiveData({ ...deps, tables: [sessions] });
    expect(report.tables).toMatchObject([{ table: 'public.sessions', archived: 3, status: 'completed' }]);
    expect(await rows('SELECT id FROM archive.sessions ORDER BY id')).toEqual([{ id: 5 }, { id: 7 }, { id: 9 }]);
  });
});

it('cron-cleanup-rate-limits deletes by age, with a row of history for each table', async () => {
  const report = await cleanupRateLimits(deps);
  const deleted = new Map(report.tables.map(({ table, deleted: count }) => [table, count]));
  expect([...deleted.keys()]).toEqual(builtInCleanups.map(({ table: { schema, name } }) => `${schema}.${name}`));
  expect(deleted.get('public.system_metrics')).toBe(5);
  expect(await rows(history)).toMatchObject(Array.from(deleted.values(), (count) => ({ deleted: count, archived: 0 })));
});

describe('cron-create-partitions', () => {
  it('makes what is missing and says what', async () => {
    const [month] = (
      await postgres.pool.query<{ name: string }>(
        `SELECT 'audit_logs_' || to_char((now() AT TIME ZONE 'UTC') + interval '2 months', 'YYYY_MM') AS name`,
      )
    ).rows;
    await postgres.pool.query(`DROP TABLE archive.${month?.name}`);
    const report = await createPartitions(deps);
    expect(report.tables.map(({ table, details }) => [table, details])).toEqual([
      ['archive.api_call_logs', { created: [], existing: 4 }],
      ['archive.audit_logs', { created: [month?.name], existing: 3 }],
      ['archive.generations', { created: [], existing: 4 }],
      ['public.system_metrics', { created: [], existing: 48 }],
    ]);
    expect(
      await rows(`SELECT details->'created' AS made FROM archive.archival_runs WHERE table_name LIKE '%audit%'`),
    ).toEqual([{ made: [month?.name] }]);
  });

  it('has as many months ready as a table wants, and detaches or drops old ones only where configured', async () => {
    await withConnection(postgres.pool, async (connection) =>
      connection.query(
        `CREATE TABLE archive.audit_logs_old PARTITION OF archive.audit_logs FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00');
         CREATE TABLE archive.generations_old PARTITION OF archive.generations FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-02-01 00:00+00')`,
      ),
    );
    const tables = [
      { ...monthly('audit_logs'), monthsAhead: 5, retire: { keepMonths: 12, action: 'detach' } as const },
      monthly('generations'),
    ];
    const report = await createPartitions({ ...deps, tables });
    expect(report.tables).toMatchObject([
      {
        details: {
          created: [expect.any(String), expect.any(String)],
          detached: ['archive.audit_logs_old'],
          dropped: [],
        },
      },
      { details: { created: [], existing: 4 } },
      { table: 'public.system_metrics' },
    ]);
    const partition = `SELECT relname FROM pg_class WHERE relispartition AND relname LIKE '%_old' AND relkind = 'r'`;
    expect(await rows(partition)).toEqual([{ relname: 'generations_old' }]);
  });

  it('leaves an archive alone that is a plain table, and fails for one that is missing', async () => {
    await postgres.pool.query('CREATE TABLE archive.plain (LIKE audit_logs)');
    const source = { schema: 'public', name: 'audit_logs' };
    const tables = ['plain', 'missing'].map((name) => ({
      source,
      target: { schema: 'archive', name },
      retentionDays: 1,
    }));
    expect((await createPartitions({ ...deps, tables })).tables).toMatchObject([
      { status: 'completed', details: { partitioned: false } },
      { status: 'failed', errorMessage: 'archive.missing: there is no such table' },
      { table: 'public.system_metrics', status: 'completed' },
    ]);
  });
});

it("has exactly the guide's jobs, and the reconcile", () => {
  const names = [...tableJobs(deps).map(({ name }) => name), 'cron-reconcile-audit'];
  expect(names).toEqual(jobNames);
  expect(names.every(isJobName)).toBe(true);
  expect(isJobName('toString')).toBe(false);
});
