import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { dumpSchema } from '../../test/dump-schema.ts';
import { useDatabase } from '../../test/use-database.ts';
import { migrate } from './migrate.ts';
import { migrationsFolder, readMigrationFolder } from './migration-folder.ts';

const database = useDatabase('empty');
const now = new Date('2025-11-30T23:59:59Z');
const archived = ['api_call_logs', 'audit_logs', 'generations'];

async function partitionNames(): Promise<string[]> {
  const { rows } = await database.pool.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

async function advisoryLocks(): Promise<number> {
  const { rows } = await database.pool.query(
    `SELECT count(*)::int AS locks FROM pg_locks WHERE locktype = 'advisory' AND database =
       (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  return rows[0].locks;
}

describe('on an empty database', () => {
  test('applies every migration and makes the partitions of this month and three more', async () => {
    const { applied, partitions } = await migrate({ connectionString: database.url, now });
    const tags = (await readMigrationFolder(migrationsFolder)).map(({ tag }) => tag);
    expect(applied).toEqual(tags);
    const months = ['2025_11', '2025_12', '2026_01', '2026_02'];
    expect(partitions.slice(0, 3)).toEqual(
      archived.map((name) => ({
        table: `archive.${name}`,
        created: months.map((month) => `${name}_${month}`),
        existing: [],
      })),
    );
    const days = partitions[3];
    expect([days?.table, days?.created[0], days?.created.at(-1), days?.created.length]).toEqual([
      'public.system_metrics',
      'system_metrics_2025_11_23',
      'system_metrics_2026_01_09',
      48,
    ]);
    expect((await partitionNames()).filter((name) => !name.startsWith('system_metrics'))).toEqual(
      archived.flatMap((name) => months.map((month) => `${name}_${month}`)),
    );
  });

  test('finds nothing to do the second time', async () => {
    await migrate({ connectionString: database.url, now });
    const schema = await dumpSchema(database.pool);
    const second = await migrate({ pool: database.pool, now });
    expect(second.applied).toEqual([]);
    expect(second.partitions.flatMap(({ created }) => created)).toEqual([]);
    expect(await dumpSchema(database.pool)).toBe(schema);
  });

  test("takes the present month from Postgres' clock", async () => {
    await migrate({ connectionString: database.url, monthsAhead: 0 });
    const { rows } = await database.pool.query(
      `SELECT 'audit_logs_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM') AS name`,
    );
    expect(await partitionNames()).toContain(rows[0].name);
  });
});

test('20 racing migrators apply each migration once', async () => {
  const reports = await Promise.all(
    Array.from({ length: 20 }, async () => migrate({ connectionString: database.url, now })),
  );
  expect(reports.filter(({ applied }) => applied.length > 0)).toHaveLength(1);
  expect(reports.flatMap(({ partitions }) => partitions.flatMap(({ created }) => created)).toSorted()).toEqual(
    await partitionNames(),
  );
  const { rows } = await database.pool.query(
    'SELECT count(*)::int AS n, count(DISTINCT hash)::int AS different FROM spillway.migrations',
  );
  const expected = (await readMigrationFolder(migrationsFolder)).length;
  expect(rows).toEqual([{ n: expected, different: expected }]);
  expect(await advisoryLocks()).toBe(0);
});

describe('beside the tables of an application', () => {
  test("leaves the application's own live tables as they are", async () => {
    await database.pool.query(
      `CREATE SCHEMA archive; CREATE TABLE generations (number serial, created_at timestamptz)`,
    );
    await migrate({ connectionString: database.url, now });
    const { rows } = await database.pool.query(
      `SELECT column_name AS name FROM information_schema.columns WHERE table_name = 'generations' AND table_schema = 'public'`,
    );
    expect(rows.map(({ name }) => name)).toEqual(['number', 'created_at']);
  });

  test("leaves the application's own functions alone that differ from ours by their arguments", async () => {
    await database.pool.query(
      `CREATE FUNCTION record_metric(name text, value double precision) RETURNS void LANGUAGE sql AS 'SELECT';
       CREATE FUNCTION get_metric_stats(name text) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    );
    await migrate({ connectionString: database.url, now });
    await migrate({ connectionString: database.url, now });
    const { rows } = await database.pool.query(
      `SELECT proname AS name, pronargs AS arguments, EXISTS (
         SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl WHERE acl.grantee = 0
       ) AS "mayBeCalledByAll"
       FROM pg_proc WHERE proname IN ('record_metric', 'get_metric_stats') ORDER BY 1, 2`,
    );
    expect(rows).toEqual([
      { name: 'get_metric_stats', arguments: 1, mayBeCalledByAll: true },
      { name: 'get_metric_stats', arguments: 2, mayBeCalledByAll: false },
      { name: 'record_metric', arguments: 2, mayBeCalledByAll: true },
      { name: 'record_metric', arguments: 4, mayBeCalledByAll: false },
    ]);
  });

  test('names a table whose name is taken, and changes nothing', async () => {
    await database.pool.query('CREATE TABLE rate_limits_v2 (key text)');
    await expect(migrate({ connectionString: database.url, now })).rejects.toMatchObject({
      code: 'migration_error',
      reason: 'name_taken',
      message: expect.stringContaining('relation "rate_limits_v2" already exists'),
    });
    const { rows } = await database.pool.query(`SELECT to_regclass('system_metrics') AS ours`);
    expect(rows).toEqual([{ ours: null }]);
  });
});

test('gives up after lockWaitMs while another migrator holds the lock, and works once it is gone', async () => {
  const other = new Client({ connectionString: database.url });
  await other.connect();
  try {
    await other.query(`SELECT pg_advisory_lock(727402, hashtext('migrate'))`);
    await expect(migrate({ connectionString: database.url, lockWaitMs: 50 })).rejects.toMatchObject({
      code: 'migration_error',
      reason: 'lock_timeout',
    });
  } finally {
    await other.end();
  }
  expect((await migrate({ connectionString: database.url })).applied).not.toEqual([]);
});

test("gives a pool's connection back as it was", async () => {
  await migrate({ pool: database.pool, now });
  const { rows } = await database.pool.query(
    `SELECT current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock`,
  );
  expect(rows).toEqual([{ statement: '30s', lock: '0' }]);
  expect(database.pool.totalCount).toBe(2);
});

describe('with another history', () => {
  let folder: string;

  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'spillway-migrate-')), 'drizzle');
    await cp(migrationsFolder, folder, { recursive: true });
  });

  afterEach(async () => {
    await rm(join(folder, '..'), { recursive: true });
  });

  async function addMigration(tag: string, sql: string): Promise<void> {
    const file = join(folder, 'meta/_journal.json');
    const journal = JSON.parse(await readFile(file, 'utf8'));
    const when = journal.entries.at(-1).when + 1_000;
    journal.entries.push({ idx: journal.entries.length, version: '7', when, tag, breakpoints: true });
    await writeFile(file, JSON.stringify(journal));
    await writeFile(join(folder, `${tag}.sql`), sql);
  }

  test('applies what a newer version added, and then refuses the older version', async () => {
    await migrate({ connectionString: database.url, now });
    await addMigration('9000_newer', 'CREATE TABLE public.newer ();');
    expect((await migrate({ connectionString: database.url, now, folder })).applied).toEqual(['9000_newer']);
    await expect(migrate({ connectionString: database.url, now })).rejects.toMatchObject({
      reason: 'unknown_migration',
    });
  });

  test('leaves nothing of the pending migrations when one of them fails', async () => {
    await addMigration('9000_good', 'CREATE TABLE public.good ();');
    await addMigration('9001_bad', 'CREATE TABLE public.bad (x no_such_type);');
    await expect(migrate({ connectionString: database.url, now, folder })).rejects.toThrow('no_such_type');
    const { rows } = await database.pool.query(
      `SELECT to_regclass('good') AS good, to_regclass('rate_limits_v2') AS all`,
    );
    expect(rows).toEqual([{ good: null, all: null }]);
    expect(await advisoryLocks()).toBe(0);
    expect((await migrate({ connectionString: database.url, now })).applied).toContain('0000_trail');
  });

  test('refuses a file edited after it was applied, and changes nothing', async () => {
    await migrate({ connectionString: database.url, now });
    await writeFile(join(folder, '0000_trail.sql'), 'CREATE TABLE public.edited ();');
    await addMigration('9000_later', 'CREATE TABLE public.later ();');
    await expect(migrate({ connectionString: database.url, now, folder })).rejects.toMatchObject({
      reason: 'edited_migration',
      migrations: ['0000_trail'],
    });
    const { rows } = await database.pool.query(`SELECT to_regclass('later') AS later`);
    expect(rows).toEqual([{ later: null }]);
  });
});

describe('refuses before connecting', () => {
  test.each([
    ['neither connectionString nor pool', {}, 'connectionString'],
    ['a lockWaitMs of 0', { connectionString: 'postgres://nowhere.invalid/x', lockWaitMs: 0 }, 'lockWaitMs'],
    ['half a month', { connectionString: 'postgres://nowhere.invalid/x', monthsAhead: 0.5 }, 'monthsAhead'],
  ])('%s', async (_, options, option) => {
    await expect(migrate(options)).rejects.toMatchObject({ code: 'invalid_option', option });
  });
});

test('rejects with the network error when Postgres is not there', async () => {
  await expect(migrate({ connectionString: 'postgres://postgres@127.0.0.1:1/x' })).rejects.toMatchObject({
    code: 'ECONNREFUSED',
  });
});
