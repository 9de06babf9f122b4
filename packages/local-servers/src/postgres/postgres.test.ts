import { mkdtemp, rm, stat } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../config.ts';
import { canInstallWithApt, findProgram } from '../programs.ts';
import { type PostgresServer, withClient } from './databases.ts';
import { type PgBouncer, startPgBouncer } from './start-pgbouncer.ts';
import { startPostgres } from './start-postgres.ts';

async function setting(url: string, name: string): Promise<string | undefined> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ value: string }>('SELECT current_setting($1) AS value', [name]);
    return rows[0]?.value;
  });
}

describe('startPostgres', () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres({ stack: 'local' });
  });
  afterAll(async () => {
    await server?.stop();
  });

  test('is PostgreSQL 18 in UTC, on the loopback address, without a socket in the file system', async () => {
    expect(await setting(server.url, 'server_version')).toMatch(/^18\./);
    expect(await setting(server.url, 'TimeZone')).toBe('UTC');
    expect(await setting(server.url, 'listen_addresses')).toBe('127.0.0.1');
    expect(await setting(server.url, 'unix_socket_directories')).toBe('');
  });

  test('hurries where nothing is to last, and does not where it is', async () => {
    expect(await setting(server.url, 'fsync')).toBe('off');
    const durable = await startPostgres({ stack: 'local', durable: true });
    onTestFinished(() => durable.stop());
    expect(await setting(durable.url, 'fsync')).toBe('on');
    expect(await setting(durable.url, 'synchronous_commit')).toBe('on');
  });

  test('creates databases from templates and drops them in spite of connections', async () => {
    const original = await server.createDatabase('original');
    await withClient(original, (client) => client.query('CREATE TABLE thing AS SELECT 42 AS answer'));
    const copy = await server.createDatabase('copy "of" it', { template: 'original' });
    expect(copy).toBe(server.databaseUrl('copy "of" it'));
    await withClient(copy, async (client) => {
      expect((await client.query('SELECT answer FROM thing')).rows).toEqual([{ answer: 42 }]);
      await server.dropDatabase('copy "of" it');
    });
    await server.dropDatabase('copy "of" it');
    await expect(withClient(copy, async () => {})).rejects.toMatchObject({ code: '3D000' });
  });

  test('names the database that it was asked for', async () => {
    const other = await startPostgres({ stack: 'local', database: 'Ödd name', args: ['-c', 'max_connections=7'] });
    onTestFinished(() => other.stop());
    expect(
      await withClient(other.url, async (client) => (await client.query('SELECT current_database() AS name')).rows),
    ).toEqual([{ name: 'Ödd name' }]);
    expect(await setting(other.url, 'max_connections')).toBe('7');
  });

  test.each([[''], ['x'.repeat(64)]])('refuses the database name %j', async (database) => {
    await expect(startPostgres({ stack: 'local', database })).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining('database'),
    });
  });

  test('tells what Postgres said when it does not start', async () => {
    await expect(startPostgres({ stack: 'local', args: ['-c', 'no_such_setting=1'] })).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining('no_such_setting'),
    });
  });

  test.runIf(process.getuid?.() === 0)(
    'runs as root, below a private home directory as well as in a public place',
    async () => {
      for (const parent of [homedir(), tmpdir()]) {
        const dataDir = await mkdtemp(path.join(parent, 'spillway-root-'));
        onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
        const one = await startPostgres({ stack: 'local', dataDir });
        await withClient(one.url, (client) => client.query('CREATE TABLE kept AS SELECT 1'));
        await one.kill();
        await one.stop();
        const { birthtimeMs } = await stat(path.join(dataDir, 'data', 'PG_VERSION'));
        const two = await startPostgres({ stack: 'local', dataDir });
        onTestFinished(() => two.stop());
        expect(await withClient(two.url, async (client) => (await client.query('SELECT * FROM kept')).rowCount)).toBe(
          1,
        );
        expect((await stat(path.join(dataDir, 'data', 'PG_VERSION'))).birthtimeMs).toBe(birthtimeMs);
      }
    },
  );
});

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
