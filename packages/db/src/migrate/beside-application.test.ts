import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate as migrateByDrizzle } from 'drizzle-orm/node-postgres/migrator';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listExposures } from '../roles/exposures.ts';
import { blockRow, useDatabase } from '../../test/use-database.ts';
import { migrate } from './migrate.ts';
import { migrationsFolder } from './migration-folder.ts';
import { listPartitions } from '../partitions/partitioned-table.ts';
import { upsertBlocks } from '../trail/event-rows.ts';

const database = useDatabase('empty');

const sql = async (text: string) => (await database.pool.query(text)).rows;
const name = async () => (await sql('SELECT current_database() AS name'))[0].name;

async function ours(): Promise<string[]> {
  const rows = await sql(`SELECT format('%s.%s', schemaname, tablename) AS name FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`);
  return rows.map((row) => row.name);
}

describe("an application's own", () => {
  test.each([
    ['tables', 'CREATE TABLE api_keys (id text); CREATE TABLE alerts (id text); CREATE TABLE changes (id text)'],
    ['types', `CREATE TYPE alerts AS ENUM ('on'); CREATE TYPE api_keys AS (a int)`],
    [
      'functions',
      'CREATE FUNCTION upsert_blocks() RETURNS int LANGUAGE sql RETURN 1; CREATE FUNCTION seal_metrics() RETURNS int LANGUAGE sql RETURN 1',
    ],
    ['archive schema', 'CREATE SCHEMA archive; CREATE TABLE archive.alerts (id text)'],
  ])('%s of everyday names live beside ours', async (_, made) => {
    await sql(made);
    expect((await migrate({ connectionString: database.url })).applied).not.toEqual([]);
    expect(await upsertBlocks(database.pool, [blockRow()])).toBe(1);
  });

  test('live tables stay as they are, are told of, and get an archive like them', async () => {
    await sql(`
      CREATE TABLE generations (id bigserial PRIMARY KEY, image_url text, created_at timestamptz NOT NULL DEFAULT now());
      CREATE TABLE audit_logs (number int);
      CREATE TABLE api_call_logs (id uuid, created_at timestamp); ALTER TABLE api_call_logs ENABLE ROW LEVEL SECURITY`);
    const { applicationTables } = await migrate({ connectionString: database.url });
    expect(applicationTables).toMatchObject([
      { table: 'public.api_call_logs', rowSecurity: true },
      { table: 'public.audit_logs', rowSecurity: false },
      { table: 'public.generations', missingColumns: expect.arrayContaining(['provider']) },
    ]);
    const columns = await sql(`SELECT attname AS name FROM pg_attribute
      WHERE attrelid = 'archive.generations'::regclass AND attnum > 0 ORDER BY attnum`);
    expect(columns.map((row) => row.name)).toEqual(['id', 'image_url', 'created_at', 'archived_at']);
  });

  test('live tables keep what their owner granted on them, with the policy that archiving asks for', async () => {
    await sql(`
      CREATE TABLE generations (id int, created_at timestamptz); GRANT SELECT ON generations TO PUBLIC;
      ALTER TABLE generations ENABLE ROW LEVEL SECURITY;
      CREATE POLICY spillway_archival ON generations USING (true) WITH CHECK (true)`);
    await migrate({ connectionString: database.url });
    expect(await listExposures(database.pool)).toEqual([]);
    expect(await sql(`SELECT has_table_privilege('spillway_api', 'generations', 'SELECT') AS kept`)).toEqual([
      { kept: true },
    ]);
  });

  test('drizzle migrations run before ours and after', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'application-'));
    await mkdir(join(folder, 'meta'));
    const entries = [{ idx: 0, version: '7', when: 1_700_000_000_000, tag: '0000_users', breakpoints: true }];
    await writeFile(
      join(folder, 'meta/_journal.json'),
      JSON.stringify({ version: '7', dialect: 'postgresql', entries }),
    );
    await writeFile(join(folder, '0000_users.sql'), 'CREATE TABLE users (id int);');
    const application = async () => migrateByDrizzle(drizzle({ client: database.pool }), { migrationsFolder: folder });
    await application();
    expect((await migrate({ connectionString: database.url })).applied).not.toEqual([]);
    await sql('DROP TABLE users; DROP SCHEMA drizzle CASCADE');
    await application();
    expect(await sql(`SELECT to_regclass('users') IS NOT NULL AS there`)).toEqual([{ there: true }]);
    await rm(folder, { recursive: true });
  });
});

describe('settings of the database', () => {
  test.each([
    ['app, public', 'search_path = app, public'],
    ['a schema that is not there', 'search_path = nowhere'],
    ['none', `search_path = ''`],
    ['pg_catalog behind another schema', 'search_path = app, pg_catalog, public'],
  ])('a search_path of %s changes nothing', async (_, setting) => {
    await sql(`CREATE SCHEMA app; ALTER DATABASE ${await name()} SET ${setting}`);
    const options = { connectionString: database.url };
    expect((await migrate(options)).applied).not.toEqual([]);
    expect((await migrate(options)).applied).toEqual([]);
    expect((await ours()).filter((table) => !/^(?:public|archive|spillway)\./u.test(table))).toEqual([]);
    const client = new Client(options);
    await client.connect();
    expect(await upsertBlocks(client, [blockRow()])).toBe(1);
    await client.query(`SELECT public.record_metric('m', 1)`);
    expect((await client.query(`SELECT count FROM public.get_metric_stats('m')`)).rows).toEqual([{ count: '1' }]);
    await client.end();
  });

  test('standard_conforming_strings off changes nothing', async () => {
    await sql(`ALTER DATABASE ${await name()} SET standard_conforming_strings = off`);
    await migrate({ connectionString: database.url });
    const again = await migrate({ connectionString: database.url });
    expect(again.partitions.flatMap(({ existing }) => existing)).toHaveLength(3 * 4 + 48);
    const client = new Client({ connectionString: database.url });
    await client.connect();
    expect(await listPartitions(client, { schema: 'archive', name: 'audit_logs' })).toHaveLength(4);
    await client.end();
  });
});

describe('refuses, names the object and leaves nothing behind', () => {
  test.each(['LATIN1', 'SQL_ASCII'])('a database of encoding %s, which cannot hold every subject', async (encoding) => {
    const other = `${await name()}_${encoding.toLowerCase()}`;
    const locale = "LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'";
    await sql(`CREATE DATABASE ${other} ENCODING '${encoding}' ${locale} TEMPLATE template0`);
    const url = new URL(database.url);
    url.pathname = `/${other}`;
    await expect(migrate({ connectionString: url.href })).rejects.toMatchObject({
      reason: 'unsupported_server',
      message: expect.stringContaining(`encoding is ${encoding}`),
    });
    await sql(`DROP DATABASE ${other} WITH (FORCE)`);
  });

  test.each([
    ['a table of a name we need', 'CREATE TABLE system_metrics (id int)', 'name_taken', 'public.system_metrics'],
    ['a type', 'CREATE TYPE circuit_breaker_events AS (a int)', 'name_taken', 'public.circuit_breaker_events'],
    [
      'a function',
      'CREATE FUNCTION record_metric(text, numeric, text, jsonb) RETURNS uuid LANGUAGE sql RETURN gen_random_uuid()',
      'name_taken',
      'public.record_metric',
    ],
    ['a database whose schema public was dropped', 'DROP SCHEMA public', 'missing_schema', 'CREATE SCHEMA public'],
    [
      'a journal of somebody else',
      'CREATE SCHEMA spillway; CREATE TABLE spillway.migrations (id int)',
      'name_taken',
      'spillway.migrations',
    ],
  ])('%s', async (_, made, reason, object) => {
    await sql(made);
    const before = await ours();
    await expect(migrate({ connectionString: database.url })).rejects.toMatchObject({
      code: 'migration_error',
      reason,
      message: expect.stringContaining(object),
    });
    expect(await ours()).toEqual(before);
  });

  test('a user without the right to make what is needed', async () => {
    await sql(`CREATE ROLE spillway_nobody_${process.pid} LOGIN`);
    const url = new URL(database.url);
    url.username = `spillway_nobody_${process.pid}`;
    try {
      await expect(migrate({ connectionString: url.href })).rejects.toMatchObject({
        reason: 'missing_privilege',
        message: expect.stringMatching(/permission denied for database .*Migrate as the owner/u),
      });
      await sql(
        `GRANT CREATE ON DATABASE ${await name()} TO spillway_nobody_${process.pid}; REVOKE CREATE ON SCHEMA public FROM PUBLIC`,
      );
      await expect(migrate({ connectionString: url.href })).rejects.toMatchObject({
        reason: 'missing_privilege',
        message: expect.stringContaining('public.rate_limits_v2: permission denied for schema public'),
      });
      expect(await ours()).toEqual([]);
    } finally {
      await sql(`DROP OWNED BY spillway_nobody_${process.pid}; DROP ROLE spillway_nobody_${process.pid}`);
    }
  });
});

describe('on a busy database', () => {
  let folder: string;
  beforeEach(async () => {
    folder = join(await mkdtemp(join(tmpdir(), 'spillway-busy-')), 'migrations');
    await cp(migrationsFolder, folder, { recursive: true });
    await migrate({ connectionString: database.url });
  });
  afterEach(async () => rm(join(folder, '..'), { recursive: true }));

  async function addMigration(tag: string, text: string): Promise<void> {
    const journal = { entries: (await sql('SELECT tag FROM spillway.migrations ORDER BY 1')).concat({ tag }) };
    await writeFile(join(folder, 'meta/_journal.json'), JSON.stringify(journal));
    await writeFile(join(folder, `${tag}.sql`), text);
  }

  test('an insert waits no longer than the lock timeout while a migration waits for a long SELECT', async () => {
    await addMigration('9000_wide', 'ALTER TABLE public.rate_limits_v2 ADD COLUMN extra text;');
    const reader = new Client({ connectionString: database.url });
    await reader.connect();
    await reader.query('BEGIN; SELECT FROM public.rate_limits_v2');
    const progress = { over: false };
    const migrating = migrate({ connectionString: database.url, folder, lockTimeoutMs: 100, attempts: 3 })
      .catch((error: unknown) => error)
      .finally(() => {
        progress.over = true;
      });
    // Behind a migration that waits as long as the SELECT runs, an insert would end by its timeout.
    const writer = new Client({ connectionString: database.url, statement_timeout: 10_000 });
    await writer.connect();
    while (!progress.over) expect(await upsertBlocks(writer, [blockRow()])).toBe(1);
    expect(await migrating).toMatchObject({
      reason: 'busy',
      message: expect.stringContaining('public.rate_limits_v2'),
    });
    await reader.query('COMMIT');
    await Promise.all([reader.end(), writer.end()]);
    expect((await migrate({ connectionString: database.url, folder })).applied).toEqual(['9000_wide']);
  });

  test('an index is made without a transaction, again after an interrupted attempt, by racing migrators once', async () => {
    await addMigration(
      '9000_index',
      `-- An index.\n-- spillway: no transaction\nDROP INDEX CONCURRENTLY IF EXISTS public.tier_idx;
--> statement-breakpoint
CREATE INDEX CONCURRENTLY tier_idx ON public.rate_limits_v2 (tier);`,
    );
    await sql('CREATE INDEX tier_idx ON public.rate_limits_v2 (key)');
    const options = { connectionString: database.url, folder };
    const reports = await Promise.all([migrate(options), migrate(options), migrate(options)]);
    expect(reports.flatMap(({ applied }) => applied)).toEqual(['9000_index']);
    expect(await sql(`SELECT indexdef FROM pg_indexes WHERE indexname = 'tier_idx'`)).toEqual([
      { indexdef: 'CREATE INDEX tier_idx ON public.rate_limits_v2 USING btree (tier)' },
    ]);
  });
});
