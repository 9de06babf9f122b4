import { createPool, migrate } from '@spillway/db';
import { startReplicatedPostgres, usePostgres } from '@spillway/local-servers/testing';
import { expect, it, onTestFinished } from 'vitest';
import { spillway, useServers } from '../../test/spillway.ts';

const empty = usePostgres({ scope: 'test' });

it('makes the tables and the months, and finds nothing to do the next time', async () => {
  const env = { DATABASE_URL: empty.url };
  const first = await spillway(['migrate'], env);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toMatch(/^Applied 0000_trail, .*\.\nMade partitions /u);
  expect((await empty.pool.query('SELECT count(*)::int AS n FROM rate_limits_v2')).rows).toEqual([{ n: 0 }]);
  const second = await spillway(['migrate', '--json'], env);
  expect(second).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(second.stdout)).toMatchObject({
    applied: [],
    partitions: Array.from({ length: 4 }, () => ({ created: [] })),
  });
});

it("tells of an application's own tables in migrate, in each run and in its history", async () => {
  const env = { DATABASE_URL: empty.url };
  await empty.pool.query(`
    CREATE TABLE audit_logs (number int);
    CREATE TABLE generations (id bigserial PRIMARY KEY, image_url text, status text, created_at timestamptz);
    INSERT INTO generations (status, created_at) VALUES ('completed', '2020-01-01')`);
  const migrated = await spillway(['migrate'], env);
  expect(migrated).toMatchObject({ code: 0, stderr: '' });
  expect(migrated.stdout).toMatch(/public\.generations is yours and stays as it is: without .*\buser_id\b/u);
  expect(migrated.stdout).toContain('Made archive.generations, with the columns of public.generations.');
  expect(migrated.stdout).toContain(
    'public.audit_logs is not archived: source public.audit_logs has no column "created_at"',
  );

  await empty.pool.query('ALTER TABLE generations ADD seed int');
  expect((await spillway(['migrate'], env)).stdout).toContain(
    'Added to archive.generations what public.generations has: seed.',
  );

  expect(await spillway(['maintenance', 'run', 'cron-create-partitions'], env)).toMatchObject({ code: 0 });
  const run = await spillway(['maintenance', 'run', 'cron-archive-data'], env);
  expect(run).toMatchObject({ code: 0 });
  expect(run.stdout).toContain('skipped: source public.audit_logs has no column "created_at"');
  const { rows } = await empty.pool.query(
    `SELECT table_name, status, archived_count::int AS archived, details ? 'skipped' AS skipped
     FROM archive.archival_runs WHERE job_name = 'cron-archive-data' ORDER BY table_name`,
  );
  expect(rows).toEqual([
    { table_name: 'public.api_call_logs', status: 'completed', archived: 0, skipped: false },
    { table_name: 'public.audit_logs', status: 'completed', archived: 0, skipped: true },
    { table_name: 'public.generations', status: 'completed', archived: 1, skipped: false },
  ]);
});

it('makes the archive of a table that SPILLWAY_ARCHIVE_TABLES names, and fails where the table does not fit', async () => {
  await empty.pool.query(`CREATE TABLE sessions (id int, seen_at timestamp); CREATE TABLE audit_logs (number int)`);
  const tables = [
    { source: 'sessions', target: 'archive.sessions', timestampColumn: 'seen_at', retentionDays: 14 },
    { source: 'audit_logs', retentionDays: 7 },
    { source: 'generations', enabled: false },
  ];
  const env = { DATABASE_URL: empty.url, SPILLWAY_ARCHIVE_TABLES: JSON.stringify(tables) };
  const { stdout } = await spillway(['migrate'], env);
  expect(stdout).toContain('Made archive.sessions, with the columns of public.sessions.');
  expect(stdout).not.toContain('archive.generations');
  const run = await spillway(['maintenance', 'run', 'cron-archive-data', '--json'], env);
  expect(run.code).toBe(3);
  expect(JSON.parse(run.stdout).tables).toMatchObject([
    { table: 'public.api_call_logs', status: 'completed' },
    { table: 'public.audit_logs', status: 'failed', errorMessage: expect.stringContaining('no column "created_at"') },
    { table: 'public.sessions', status: 'completed' },
  ]);
});

const servers = useServers();

it('prints the answers of the three monitoring queries', async () => {
  await servers.postgres.pool.query(`
    INSERT INTO circuit_breaker_events (id, outbox_shard, outbox_epoch, outbox_seq, breaker_name, preset, event_type, failure_count, breaker_epoch)
    SELECT gen_random_uuid(), 0, 1, row_number() OVER (), 'runware', 'ai_provider', type, 5, 1 FROM unnest(ARRAY['opened', 'half_open']) AS type;
    INSERT INTO archive.archival_runs (job_name, table_name, status, archived_count, finished_at)
    VALUES ('cron-archive-data', 'public.api_call_logs', 'completed', 7, now())`);
  const people = await spillway(['queries'], servers.env);
  expect(people).toMatchObject({ code: 0, stderr: '' });
  expect(people.stdout).toMatch(/Rate limit blocks in last 24h\n.*\n│ count │\n.*\n│ 0 +│/u);
  expect(people.stdout).toMatch(/runware +│ opened +│ 1/u);
  expect(people.stdout).toMatch(/cron-archive-data +│ public\.api_call_logs +│ completed +│ 7/u);

  const program = await spillway(['queries', '--json'], servers.env);
  expect(JSON.parse(program.stdout)).toEqual({
    blocks: [{ count: 0 }],
    breakers: expect.arrayContaining([
      { breaker_name: 'runware', event_type: 'opened', count: 1 },
      { breaker_name: 'runware', event_type: 'half_open', count: 1 },
    ]),
    archival: [expect.objectContaining({ table_name: 'public.api_call_logs', archived_count: 7 })],
  });
});

it('reads a replica where DATABASE_READ_URL names one, and says how far it is behind', async () => {
  const { primary, replica, stop } = await startReplicatedPostgres();
  onTestFinished(stop);
  await migrate({ connectionString: primary.url });
  const env = { ...servers.env, DATABASE_READ_URL: replica.url };
  await expect
    .poll(async () => JSON.parse((await spillway(['queries', '--json'], env)).stdout || '{}'), { timeout: 60_000 })
    .toEqual({ blocks: [{ count: 0 }], breakers: [], archival: [], behindMs: 0 });
  expect((await spillway(['queries'], env)).stdout).toContain('From a replica, 0 ms behind');
}, 120_000);

const postgres = usePostgres({ scope: 'file' });

it('migrate tells what is missing, and not to run migrate', async () => {
  const url = await postgres.createDatabase();
  const pool = createPool({ connectionString: url, onError: () => {} });
  await pool.query('DROP SCHEMA public');
  await pool.end();
  const { code, stderr } = await spillway(['migrate'], { DATABASE_URL: url });
  expect(code).toBe(1);
  expect(stderr).toContain('CREATE SCHEMA public');
  expect(stderr).not.toContain('run spillway migrate');
});

it.each([
  [['queries']],
  [['key', 'create', '--name', 'ops', '--scope', 'admin']],
  [['key', 'list']],
  [['maintenance', 'run', 'cron-cleanup-rate-limits']],
])('%j says of a database without our tables that it is not migrated', async (args) => {
  const { code, stdout, stderr } = await spillway(args, { DATABASE_URL: postgres.url });
  expect(code).toBe(1);
  expect(`${stdout}${stderr}`.replaceAll(/[\s│]+/gu, ' ')).toContain('run spillway migrate');
});
