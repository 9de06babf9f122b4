import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../config.ts';
import { findProgram, canInstallWithApt } from '../programs.ts';
import { withClient, type PostgresServer } from './databases.ts';
import { type PgBouncer, startPgBouncer } from './start-pgbouncer.ts';
import { startPostgres } from './start-postgres.ts';

const obtainable = canInstallWithApt() || (await findProgram(['pgbouncer'], readConfig().searchPath)) !== undefined;

describe.runIf(obtainable)('startPgBouncer (needs pgbouncer, or root on Debian)', () => {
  let postgres: PostgresServer;
  let pooler: PgBouncer;
  beforeAll(async () => {
    postgres = await startPostgres();
    pooler = await startPgBouncer({ postgres, poolSize: 2 });
  });
  afterAll(async () => {
    await pooler?.stop();
    await postgres?.stop();
  });

  test('pools by transaction, with the size that was asked for', async () => {
    const { rows } = await withClient(pooler.adminUrl, (client) =>
      client.query<{ key: string; value: string }>('SHOW CONFIG'),
    );
    const config = Object.fromEntries(rows.map(({ key, value }) => [key, value]));
    expect(config).toMatchObject({ pool_mode: 'transaction', default_pool_size: '2' });
  });

  test('SET LOCAL holds for its transaction and no longer', async () => {
    await withClient(pooler.url, async (client) => {
      await client.query('BEGIN');
      await client.query("SET LOCAL lock_timeout = '1234ms'");
      expect((await client.query('SHOW lock_timeout')).rows).toEqual([{ lock_timeout: '1234ms' }]);
      await client.query('COMMIT');
      expect((await client.query('SHOW lock_timeout')).rows).toEqual([{ lock_timeout: '0' }]);
    });
  });

  test('ten clients share two connections to Postgres', async () => {
    const pids = await Promise.all(
      Array.from({ length: 10 }, () =>
        withClient(
          pooler.url,
          async (client) => (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid,
        ),
      ),
    );
    expect(new Set(pids).size).toBeLessThanOrEqual(2);
  });

  test('comes back on its port after a kill', async () => {
    await pooler.kill();
    await pooler.restart();
    expect(await withClient(pooler.url, async (client) => (await client.query('SELECT 1 AS one')).rows)).toEqual([
      { one: 1 },
    ]);
  });

  test.each([
    [{ databaseUrl: 'not a url' }, 'databaseUrl'],
    [{ databaseUrl: 'postgres://u@127.0.0.1/d', poolSize: 0 }, 'poolSize'],
    [{ databaseUrl: 'postgres://u@127.0.0.1/d', maxClients: 1.5 }, 'maxClients'],
  ])('refuses %j and names the option', async (options, name) => {
    await expect(startPgBouncer(options)).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining(name),
    });
  });
});
