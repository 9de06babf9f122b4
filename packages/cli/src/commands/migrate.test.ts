import { usePostgres } from '@spillway/local-servers/testing';
import { expect, it } from 'vitest';
import { spillway } from '../../test/spillway.ts';

const postgres = usePostgres({ scope: 'test' });

it('makes the tables and the months, and finds nothing to do the next time', async () => {
  const env = { DATABASE_URL: postgres.url };
  const first = await spillway(['migrate'], env);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toMatch(/^Applied 0000_trail, .*\.\nMade partitions /u);
  expect((await postgres.pool.query('SELECT count(*)::int AS n FROM rate_limits_v2')).rows).toEqual([{ n: 0 }]);
  const second = await spillway(['migrate', '--json'], env);
  expect(second).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(second.stdout)).toMatchObject({
    applied: [],
    partitions: Array.from({ length: 4 }, () => ({ created: [] })),
  });
});

it("tells of an application's own tables in migrate, in each run and in its history", async () => {
  const env = { DATABASE_URL: postgres.url };
  await postgres.pool.query(`
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

  await postgres.pool.query('ALTER TABLE generations ADD seed int');
  expect((await spillway(['migrate'], env)).stdout).toContain(
    'Added to archive.generations what public.generations has: seed.',
  );

  expect(await spillway(['maintenance', 'run', 'cron-create-partitions'], env)).toMatchObject({ code: 0 });
  const run = await spillway(['maintenance', 'run', 'cron-archive-data'], env);
  expect(run).toMatchObject({ code: 0 });
  expect(run.stdout).toContain('skipped: source public.audit_logs has no column "created_at"');
  const { rows } = await postgres.pool.query(
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
  await postgres.pool.query(`CREATE TABLE sessions (id int, seen_at timestamp); CREATE TABLE audit_logs (number int)`);
  const tables = [
    { source: 'sessions', target: 'archive.sessions', timestampColumn: 'seen_at', retentionDays: 14 },
    { source: 'audit_logs', retentionDays: 7 },
    { source: 'generations', enabled: false },
  ];
  const env = { DATABASE_URL: postgres.url, SPILLWAY_ARCHIVE_TABLES: JSON.stringify(tables) };
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
