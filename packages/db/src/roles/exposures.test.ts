import { type PostgresServer, startPostgres } from '@spillway/local-servers';
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { migrate } from '../migrate/migrate.ts';
import { listExposures } from './exposures.ts';
import { tablePrivileges } from './privileges.ts';

const denied = '42501';

/** What came of a statement as one of the roles: rows, or the SQLSTATE. */
async function outcome(client: Client, role: string, sql: string): Promise<number | string | undefined> {
  await client.query(`SET ROLE ${role}`);
  try {
    return (await client.query(sql)).rowCount ?? 0;
  } catch (error) {
    return error instanceof Error ? String(Reflect.get(error, 'code')) : undefined;
  } finally {
    await client.query('RESET ROLE');
  }
}

/** As a hosting platform sets a project up: an owner who is no superuser, and everything it makes granted to browsers' roles. */
describe('where default privileges grant everything to the roles of browsers', () => {
  let server: PostgresServer;
  let admin: Client;
  let url: string;

  beforeAll(async () => {
    server = await startPostgres();
    admin = new Client({ connectionString: server.url });
    await admin.connect();
    await admin.query(`
      CREATE ROLE owner LOGIN CREATEROLE; CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE stranger;
      CREATE ROLE service_role BYPASSRLS; GRANT anon, authenticated, stranger TO owner`);
  });
  afterAll(async () => {
    await admin.end();
    await server.stop();
  });

  beforeEach(async () => {
    await admin.query('DROP DATABASE IF EXISTS project');
    await admin.query('CREATE DATABASE project OWNER owner');
    url = server.url.replace(/\/\/[^@]*@/u, '//owner@').replace(/\/[^/]*$/u, '/project');
    await asOwner(async (client) => {
      await client.query(`
        GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
        ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO stranger;
        ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO stranger;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role`);
    });
  });

  async function asOwner<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  test('they can read, write, empty and call nothing, archived months included', async () => {
    expect((await migrate({ connectionString: url })).roles.exposed).toEqual([]);
    await asOwner(async (client) => {
      const months = await client.query<{ name: string }>(
        `SELECT format('%I.%I', relnamespace::regnamespace::text, relname) AS name FROM pg_class
         WHERE relispartition AND relkind = 'r' AND relname !~ '_(0[2-9]|[12][0-9]|3[01])$'`,
      );
      const tables = [...Object.keys(tablePrivileges), ...months.rows.map(({ name }) => name)];
      expect(tables.length).toBeGreaterThan(30);
      for (const role of ['anon', 'authenticated', 'stranger']) {
        for (const table of tables) {
          expect(await outcome(client, role, `SELECT FROM ${table}`), `${role} ${table}`).toBe(denied);
          expect(await outcome(client, role, `INSERT INTO ${table} DEFAULT VALUES`), table).toBe(denied);
          expect(await outcome(client, role, `DELETE FROM ${table}`), table).toBe(denied);
          expect(await outcome(client, role, `TRUNCATE ${table} CASCADE`), table).toBe(denied);
        }
        expect(await outcome(client, role, `SELECT public.record_metric('m', 1)`)).toBe(denied);
        expect(await outcome(client, role, `SELECT public.get_metric_stats('m')`)).toBe(denied);
        expect(
          await outcome(
            client,
            role,
            `SELECT spillway.upsert_outages('{}','{}','{}','{}','{}','{}','{}','{}','{}','{}','{}')`,
          ),
        ).toBe(denied);
      }
    });
  });

  test('a right that somebody granted later is found, and gone after the next migrate', async () => {
    await migrate({ connectionString: url });
    await asOwner(async (client) => {
      await client.query(`
        GRANT SELECT ON public.rate_limits_v2 TO anon WITH GRANT OPTION;
        GRANT EXECUTE ON FUNCTION spillway.upsert_blocks TO PUBLIC; GRANT USAGE ON SCHEMA spillway TO authenticated;
        ALTER TABLE public.system_metrics DISABLE ROW LEVEL SECURITY`);
      expect(await listExposures(client)).toEqual([
        {
          object: expect.stringMatching(/^FUNCTION spillway\.upsert_blocks\(/u),
          grantee: 'PUBLIC',
          privileges: 'EXECUTE',
        },
        { object: 'SCHEMA spillway', grantee: 'authenticated', privileges: 'USAGE' },
        { object: 'TABLE public.rate_limits_v2', grantee: 'anon', privileges: 'SELECT' },
        { object: 'TABLE public.system_metrics', grantee: 'PUBLIC', privileges: 'no row level security' },
      ]);
      expect((await migrate({ connectionString: url })).roles.exposed).toEqual([]);
      expect(await listExposures(client)).toEqual([]);
    });
  });

  test('a right that came some other way shows nothing, since row level security is on', async () => {
    await migrate({ connectionString: url });
    await asOwner(async (client) => {
      await client.query(`SELECT public.record_metric('m', 1)`);
      await client.query('GRANT ALL ON public.system_metrics TO anon');
      expect(await outcome(client, 'anon', 'SELECT FROM public.system_metrics')).toBe(0);
      expect(await outcome(client, 'anon', 'DELETE FROM public.system_metrics')).toBe(0);
      expect(
        await outcome(client, 'anon', `INSERT INTO public.system_metrics (metric_name, metric_value) VALUES ('x', 1)`),
      ).toBe(denied);
      expect((await client.query('SELECT FROM public.system_metrics')).rowCount).toBe(1);
    });
  });
});
