import { describe, expect, test } from 'vitest';
import { migrate, type MigrateOptions } from '../migrate/migrate.ts';
import { useDatabase } from '../../test/use-database.ts';
import { archiveRows } from './archive-rows.ts';
import { type ArchiveTable, builtInArchives } from './archive-table.ts';
import { withConnection } from '../connection.ts';

const database = useDatabase('empty');
const sql = async (text: string) => (await database.pool.query(text)).rows;
const run = async (options: Partial<MigrateOptions> = {}) => migrate({ connectionString: database.url, ...options });

const of = (name: string): ArchiveTable => {
  const found = builtInArchives.find(({ source }) => source.name === name);
  if (found === undefined) throw new Error(name);
  return found;
};
const archive = async (table: ArchiveTable) =>
  withConnection(database.pool, async (connection) => archiveRows(connection, table));
const asMaintenance = async (table: ArchiveTable) =>
  withConnection(database.pool, async (connection) => {
    await connection.query('SET ROLE spillway_maintenance');
    try {
      return await archiveRows(connection, table);
    } finally {
      await connection.query('RESET ROLE');
    }
  });
const fitOf = async (name: string) => (await run()).archives.find(({ target }) => target === `archive.${name}`);

const OLD = `SELECT now() - n * interval '40 days' FROM generate_series(0, 9) AS n`;

describe("an application's own tables archive", () => {
  test.each([
    [
      'generations with bigserial, generated and identity columns, a default, and a status that is an enum',
      'generations',
      `CREATE TYPE state AS ENUM ('completed', 'queued');
       CREATE TABLE generations (id bigserial PRIMARY KEY, user_id uuid NOT NULL DEFAULT gen_random_uuid(), image_url text,
         number int GENERATED ALWAYS AS IDENTITY, doubled int GENERATED ALWAYS AS (2) STORED,
         status state NOT NULL DEFAULT 'completed', created_at timestamptz NOT NULL DEFAULT now());
       INSERT INTO generations (created_at) ${OLD}`,
      5,
    ],
    [
      'generations without a status',
      'generations',
      `CREATE TABLE generations (created_at timestamptz); INSERT INTO generations ${OLD}`,
      5,
    ],
    [
      'audit_logs with a key of two columns, names in capitals and an archived_at of their own',
      'audit_logs',
      `CREATE TABLE audit_logs ("Tenant" uuid DEFAULT gen_random_uuid(), "id" int DEFAULT 1, archived_at text,
         created_at timestamp, PRIMARY KEY ("Tenant", id)); INSERT INTO audit_logs (created_at) ${OLD}`,
      7,
    ],
    [
      'api_call_logs by range of time, with a sequence of their own',
      'api_call_logs',
      `CREATE TABLE api_call_logs (id bigserial, created_at timestamptz NOT NULL, PRIMARY KEY (created_at, id)) PARTITION BY RANGE (created_at);
       CREATE TABLE old PARTITION OF api_call_logs FOR VALUES FROM ('2000-01-01') TO (date_trunc('month', now() - interval '90 days'));
       CREATE TABLE young PARTITION OF api_call_logs FOR VALUES FROM (date_trunc('month', now() - interval '90 days')) TO (MAXVALUE);
       INSERT INTO api_call_logs (created_at) ${OLD}`,
      9,
    ],
    [
      'audit_logs by hash',
      'audit_logs',
      `CREATE TABLE audit_logs (id int GENERATED ALWAYS AS IDENTITY, created_at timestamp) PARTITION BY HASH (id);
       CREATE TABLE h0 PARTITION OF audit_logs FOR VALUES WITH (MODULUS 2, REMAINDER 0);
       CREATE TABLE h1 PARTITION OF audit_logs FOR VALUES WITH (MODULUS 2, REMAINDER 1);
       INSERT INTO audit_logs (created_at) ${OLD}`,
      7,
    ],
    [
      'api_call_logs with a date in the key',
      'api_call_logs',
      `CREATE TABLE api_call_logs (created_at date PRIMARY KEY); INSERT INTO api_call_logs ${OLD}`,
      9,
    ],
  ])('%s', async (_, name, made, moved) => {
    await sql(made);
    expect(await fitOf(name)).toMatchObject({ created: true, archivable: true, problems: [] });
    expect(await archive(of(name))).toMatchObject({ moved, complete: true });
    expect(await sql(`SELECT count(*)::int AS n FROM archive.${name}`)).toEqual([{ n: moved }]);
    const table = `archive.${name}`;
    expect(
      await sql(`SELECT has_table_privilege('spillway_reader', '${table}', 'SELECT') AS reads,
                   pg_get_userbyid(relowner) AS owner, relrowsecurity AS closed FROM pg_class WHERE oid = '${table}'::regclass`),
    ).toEqual([{ reads: true, owner: 'spillway_maintenance', closed: true }]);
  });

  test('when spillway_maintenance does it, with a policy where the table has row level security', async () => {
    await sql(`
      CREATE TABLE generations (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), status text DEFAULT 'failed', created_at timestamptz);
      ALTER TABLE generations ENABLE ROW LEVEL SECURITY; INSERT INTO generations (created_at) ${OLD}`);
    await run();
    await expect(asMaintenance(of('generations'))).rejects.toThrow(
      'CREATE POLICY spillway_archival ON "public"."generations"',
    );
    await sql(
      'CREATE POLICY spillway_archival ON generations TO spillway_maintenance USING (true) WITH CHECK (true); ALTER TABLE generations ADD extra int',
    );
    expect(await asMaintenance(of('generations'))).toMatchObject({
      moved: 5,
      warnings: expect.arrayContaining(["the archive got the source's new columns: extra"]),
    });
  });

  test('in whole partitions when spillway_maintenance does it as a member of their owner, else by rows', async () => {
    const owner = `application_${process.pid}`;
    await sql(`
      CREATE ROLE ${owner}; CREATE TABLE audit_logs (id int, created_at timestamptz, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
      CREATE TABLE y2019 PARTITION OF audit_logs FOR VALUES FROM ('2019-01-01 00:00+00') TO ('2020-01-01 00:00+00');
      CREATE TABLE y2020 PARTITION OF audit_logs FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2021-01-01 00:00+00');
      ALTER TABLE audit_logs OWNER TO ${owner}; ALTER TABLE y2019 OWNER TO ${owner}; ALTER TABLE y2020 OWNER TO ${owner};
      INSERT INTO audit_logs VALUES (1, '2019-05-05 00:00+00')`);
    try {
      await run();
      expect(await asMaintenance(of('audit_logs'))).toMatchObject({ moved: 1, batches: 1, partitionsMoved: [] });
      await sql(`GRANT ${owner} TO spillway_maintenance; INSERT INTO audit_logs VALUES (1, '2020-05-05 00:00+00')`);
      const moved = { partition: 'archive.y2020', rows: 1 };
      expect(await asMaintenance(of('audit_logs'))).toMatchObject({ moved: 1, batches: 0, partitionsMoved: [moved] });
      expect(
        await sql(
          `SELECT pg_get_userbyid(relowner) AS owner, relrowsecurity AS closed FROM pg_class WHERE relname = 'y2020'`,
        ),
      ).toEqual([{ owner: 'spillway_maintenance', closed: true }]);
      expect((await run()).applied).toEqual([]);
    } finally {
      await sql(`DROP OWNED BY ${owner} CASCADE; DROP ROLE ${owner}`);
    }
  });

  test('when the table comes later, and when it is dropped and made again in another shape', async () => {
    await run();
    await sql(`DROP TABLE generations, archive.generations`);
    expect(await fitOf('generations')).toMatchObject({ created: false, archivable: false });
    await sql('CREATE TABLE generations (id int PRIMARY KEY, created_at timestamptz)');
    expect(await fitOf('generations')).toMatchObject({ created: true, problems: [] });
    await sql('DROP TABLE audit_logs');
    await sql(`CREATE TABLE audit_logs (id uuid PRIMARY KEY, "New one" varchar(7)[] NOT NULL, created_at timestamptz)`);
    expect(await fitOf('audit_logs')).toMatchObject({ created: false, addedColumns: ['New one'], problems: [] });
    await sql(`INSERT INTO audit_logs VALUES (gen_random_uuid(), '{a}', '2020-01-01')`);
    expect(await archive(of('audit_logs'))).toMatchObject({ moved: 1 });
    expect(await sql(`SELECT has_table_privilege('spillway_maintenance', 'audit_logs', 'DELETE') AS may`)).toEqual([
      { may: true },
    ]);
  });

  test('with new columns and columns that may be null by now, which the archive gets', async () => {
    await sql(
      'CREATE TABLE api_call_logs (id int PRIMARY KEY, path text NOT NULL, gone int NOT NULL, created_at timestamptz)',
    );
    await run();
    await sql('ALTER TABLE api_call_logs ADD a int, ADD b int NOT NULL, ALTER path DROP NOT NULL, DROP gone');
    await sql(`INSERT INTO api_call_logs VALUES (1, NULL, '2020-01-01', 1, 2)`);
    expect(await fitOf('api_call_logs')).toMatchObject({ created: false, addedColumns: ['a', 'b'], problems: [] });
    expect((await fitOf('api_call_logs'))?.addedColumns).toEqual([]);
    expect(await archive(of('api_call_logs'))).toMatchObject({ moved: 1 });
  });

  test('into an archive of their own, which stays as it is', async () => {
    await sql(`
      CREATE TABLE generations (id int, status text, created_at timestamptz);
      CREATE SCHEMA archive; CREATE TABLE archive.generations (LIKE generations) PARTITION BY RANGE (created_at);
      INSERT INTO generations VALUES (1, 'completed', '2020-01-01')`);
    expect(await fitOf('generations')).toMatchObject({ created: false, problems: [] });
    expect(await archive(of('generations'))).toMatchObject({ moved: 1 });
    await sql('ALTER TABLE generations ADD extra int');
    expect(await fitOf('generations')).toMatchObject({
      addedColumns: [],
      problems: ['target archive.generations lacks column "extra" (integer)'],
    });
  });

  test('by another column of time, or a table of any other name, as configured', async () => {
    await sql(`
      CREATE TABLE audit_logs (id int PRIMARY KEY, made timestamp); INSERT INTO audit_logs VALUES (1, '2020-01-01');
      CREATE TABLE "My logs" (id int, made date); INSERT INTO "My logs" VALUES (1, '2020-01-01')`);
    const others = { source: { schema: 'public', name: 'My logs' }, target: { schema: 'archive', name: 'My logs' } };
    const archives = [
      { ...of('audit_logs'), timestampColumn: 'made' },
      { ...others, timestampColumn: 'made', retentionDays: 1, where: 'id > 0' },
    ];
    const { archives: fits, partitions } = await run({ archives });
    expect(fits).toMatchObject([
      { created: true, problems: [] },
      { created: true, problems: [] },
    ]);
    const made = partitions.map(({ table }) => table);
    expect(made).toEqual(['archive.audit_logs', 'archive.My logs', 'public.system_metrics']);
    for (const table of archives) expect(await archive(table)).toMatchObject({ moved: 1 });
    expect(await sql(`SELECT has_table_privilege('spillway_maintenance', '"My logs"', 'DELETE') AS may`)).toEqual([
      { may: true },
    ]);
  });
});

describe('migrate succeeds, makes no archive and says why', () => {
  test.each([
    ['no column of time', 'CREATE TABLE generations (number int)', 'public.generations has no column "created_at"'],
    [
      'a time that is text',
      'CREATE TABLE generations (created_at text)',
      'must be timestamptz, timestamp or date, but is text',
    ],
  ])('for a table with %s', async (_, made, problem) => {
    await sql(made);
    const fit = await fitOf('generations');
    expect(fit).toMatchObject({ created: false });
    expect(fit?.problems.join('; ')).toContain(problem);
    expect(await sql(`SELECT to_regclass('archive.generations') AS made`)).toEqual([{ made: null }]);
  });

  test('for a condition that does not fit, with the column that it names', async () => {
    await sql('CREATE TABLE generations (id int, created_at timestamptz)');
    const { archives } = await run({ archives: [{ ...of('generations'), where: 'done' }] });
    expect(archives[0]?.problems).toEqual([
      'condition "done" does not fit public.generations: column "done" does not exist',
    ]);
  });
});
