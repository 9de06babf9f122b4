import { once } from 'node:events';
import { createServer } from 'node:net';
import { createPool } from '@spillway/db';
import { startPgBouncer, startPostgres } from '@spillway/local-servers';
import { expect, it } from 'vitest';
import { ended, spillway, startSpillway, useServers } from '../../test/spillway.ts';

const servers = useServers();

async function addCalls(rows: number): Promise<void> {
  await servers.postgres.pool.query(
    `INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, created_at)
     SELECT 'GET', '/', 200, 1, now() - interval '40 days' FROM generate_series(1, $1)`,
    [rows],
  );
}

async function one<Row extends object>(sql: string): Promise<Row | undefined> {
  return (await servers.postgres.pool.query<Row>(sql)).rows[0];
}

const counts = `
  SELECT (SELECT count(*)::int FROM api_call_logs) AS live,
         (SELECT count(*)::int FROM archive.api_call_logs) AS archived`;

it('lists the jobs with their schedules', async () => {
  const { code, stdout } = await spillway(['maintenance', 'list', '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual([
    { job: 'cron-cleanup-rate-limits', schedule: '0 3 * * *' },
    { job: 'cron-create-partitions', schedule: '0 1 1 * *, 30 0 * * *' },
    { job: 'cron-archive-data', schedule: '0 2 * * 0' },
    { job: 'cron-reconcile-audit', schedule: '30 4 * * *' },
  ]);
});

it('only looks with --dry-run, then does it, and leaves both in the history', async () => {
  await addCalls(12);
  const dry = await spillway(['maintenance', 'run', 'cron-archive-data', '--dry-run'], servers.env);
  expect(dry).toMatchObject({ code: 0, stderr: '' });
  expect(dry.stdout).toMatch(/public\.api_call_logs +│ completed +│ 12 +│ 12/u);
  expect(dry.stdout).toContain('cron-archive-data: completed, dry run');
  expect(await one(counts)).toEqual({ live: 12, archived: 0 });

  const run = await spillway(['maintenance', 'run', 'cron-archive-data', '--json'], servers.env);
  expect(run).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(run.stdout)).toMatchObject({
    job: 'cron-archive-data',
    status: 'completed',
    dryRun: false,
    tables: [
      { table: 'public.api_call_logs', status: 'completed', archived: 12, deleted: 12 },
      { table: 'public.audit_logs', archived: 0 },
      { table: 'public.generations', archived: 0 },
    ],
  });
  expect(await one(counts)).toEqual({ live: 0, archived: 12 });
  const { rows } = await servers.postgres.pool.query(
    `SELECT dry_run, archived_count::int AS rows FROM archive.archival_runs
     WHERE table_name = 'public.api_call_logs' ORDER BY started_at`,
  );
  expect(rows).toEqual([
    { dry_run: true, rows: 12 },
    { dry_run: false, rows: 12 },
  ]);
  const history = await spillway(['maintenance', 'history', '--json'], servers.env);
  expect(JSON.parse(history.stdout)).toMatchObject([
    { job: 'cron-archive-data', trigger: 'cli', status: 'completed', dryRun: false, rowsMoved: 12 },
  ]);
});

it('archives the tables of SPILLWAY_ARCHIVE_TABLES too', async () => {
  await servers.postgres.pool.query(`
    CREATE TABLE sessions (id int PRIMARY KEY, seen_at timestamptz NOT NULL);
    CREATE TABLE archive.sessions (LIKE sessions) PARTITION BY RANGE (seen_at);
    INSERT INTO sessions SELECT n, now() - n * interval '1 day' FROM generate_series(1, 20) AS n`);
  const tables = [
    {
      source: 'sessions',
      target: 'archive.sessions',
      timestampColumn: 'seen_at',
      retentionDays: 14,
      where: 'id <> 20',
    },
  ];
  const env = { ...servers.env, SPILLWAY_ARCHIVE_TABLES: JSON.stringify(tables) };
  const { code, stdout } = await spillway(['maintenance', 'run', 'cron-archive-data', '--json'], env);
  expect(code).toBe(0);
  expect(JSON.parse(stdout).tables.at(-1)).toMatchObject({ table: 'public.sessions', archived: 6 });
});

it('ends with 3 when its time runs out, and with 0 the next time', async () => {
  await addCalls(3);
  const run = ['maintenance', 'run', 'cron-archive-data', '--time-budget'];
  expect(await spillway([...run, '0'], servers.env)).toMatchObject({ code: 3 });
  expect(await one(counts)).toEqual({ live: 3, archived: 0 });
  expect(await spillway([...run, '60'], servers.env)).toMatchObject({ code: 0 });
  expect(await one(counts)).toEqual({ live: 0, archived: 3 });
});

it('ends with 1 when no table could be done, and says why', async () => {
  await servers.postgres.pool.query(`
    ALTER TABLE api_call_logs ALTER method TYPE varchar(99);
    ALTER TABLE audit_logs ALTER action TYPE varchar(99);
    ALTER TABLE generations ALTER provider TYPE varchar(99)`);
  const { code, stdout } = await spillway(['maintenance', 'run', 'cron-archive-data'], servers.env);
  expect(code).toBe(1);
  // Long notes are wrapped within their column.
  expect(stdout.replaceAll(/[\s│]+/gu, ' ')).toContain('column "method" is character varying(99) in the source');
});

it('shows a progress bar for each table on a terminal, and on Ctrl-C ends with 3 after the batch at hand', async () => {
  // 24 batches, each of which waits for a moment in a trigger: the signal comes in the middle.
  await addCalls(120_000);
  await servers.postgres.pool.query(`
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END';
    CREATE TRIGGER slow AFTER DELETE ON api_call_logs FOR EACH STATEMENT EXECUTE FUNCTION slow()`);
  const child = startSpillway(['maintenance', 'run', 'cron-archive-data'], servers.env, { terminal: true });
  const screen: string[] = [];
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => screen.push(chunk));
  await expect.poll(() => screen.join(''), { timeout: 20_000 }).toMatch(/public\.api_call_logs .*\d+000\/120000 rows/u);
  // Ctrl-C, as the terminal sends it to those in the foreground.
  child.stdin?.write('\u0003');
  expect(await ended(child)).toMatchObject({ code: 3 });
  expect(screen.join('')).toContain('cron-archive-data: partial');
  const left = await one<{ live: number; archived: number }>(counts);
  expect(left?.archived).toBeGreaterThan(0);
  expect(left?.live).toBeGreaterThan(0);
  expect((left?.live ?? 0) + (left?.archived ?? 0)).toBe(120_000);
});

it('makes the same months whatever the time zones of server, session and process', async () => {
  const server = await startPostgres({ args: ['-c', 'timezone=Pacific/Kiritimati'] });
  const pool = createPool({ connectionString: server.url, onError: () => {} });
  try {
    const env = { DATABASE_URL: server.url, TZ: 'Asia/Kolkata' };
    expect(await spillway(['migrate'], env)).toMatchObject({ code: 0 });
    await pool.query(`ALTER DATABASE spillway SET timezone = 'America/New_York'`);
    const { rows } = await pool.query<{ name: string }>(
      `SELECT max(relname) AS name FROM pg_class WHERE relispartition AND relkind = 'r' AND relname LIKE 'audit_logs_%'`,
    );
    await pool.query(`DROP TABLE archive.${rows[0]?.name}`);
    expect(await spillway(['maintenance', 'run', 'cron-create-partitions'], env)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`created: ${rows[0]?.name}`),
    });
    const bounds = await pool.query(`
      SELECT count(*)::int AS months, bool_and(bound = format($$FOR VALUES FROM ('%s 00:00:00+00') TO ('%s 00:00:00+00')$$,
               month, (month + interval '1 month')::date)) AS utc
      FROM (SELECT pg_get_expr(relpartbound, oid) AS bound, to_date(right(relname, 7), 'YYYY_MM') AS month
            FROM pg_class, set_config('timezone', 'UTC', false)
            WHERE relispartition AND relkind = 'r' AND relnamespace = 'archive'::regnamespace) AS partitions`);
    expect(bounds.rows).toEqual([{ months: 12, utc: true }]);
    const days = await pool.query(`
      SELECT bool_and(bound LIKE $$FOR VALUES FROM ('____-__-__ 00:00:00+00') TO ('____-__-__ 00:00:00+00')$$) AS utc
      FROM (SELECT pg_get_expr(relpartbound, oid) AS bound FROM pg_class, set_config('timezone', 'UTC', false)
            WHERE relispartition AND relkind = 'r' AND relnamespace <> 'archive'::regnamespace) AS partitions`);
    expect(days.rows).toEqual([{ utc: true }]);
  } finally {
    await pool.end();
    await server.stop();
  }
});

it('works through a pooler in transaction mode', async () => {
  await addCalls(2);
  const pooler = await startPgBouncer({ databaseUrl: servers.postgres.url });
  try {
    const { code, stderr } = await spillway(['maintenance', 'run', 'cron-archive-data'], { DATABASE_URL: pooler.url });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(await one(counts)).toEqual({ live: 0, archived: 2 });
  } finally {
    await pooler.stop();
  }
});

/** A port that is taken until the test ends it. */
async function takenPort(): Promise<{ readonly port: string; readonly free: () => Promise<void> }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: String(address.port),
    free: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

it('is the worker, until SIGTERM', async () => {
  const { port, free } = await takenPort();
  await free();
  const child = startSpillway(['worker'], { ...servers.env, WORKER_HTTP_PORT: port });
  const ready = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
  await expect.poll(async () => ready().catch(() => 0), { timeout: 20_000 }).toBe(200);
  child.kill('SIGTERM');
  const { code, stdout } = await ended(child);
  expect(code).toBe(0);
  expect(stdout).toContain('worker: stopped');
});

it('ends with 1 when its port is taken, and says so', async () => {
  const { port, free } = await takenPort();
  const { code, stderr } = await spillway(['worker'], { ...servers.env, WORKER_HTTP_PORT: port });
  await free();
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('EADDRINUSE') });
});
