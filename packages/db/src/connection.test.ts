import { expect, test, describe, vi, afterAll, beforeAll, it, beforeEach } from 'vitest';
import { useDatabase } from '../test/use-database.ts';
import {
  withConnection,
  createPool,
  type PoolOptions,
  readBehindMs,
  transaction,
  type TransactionOptions,
} from './connection.ts';
import { type ReplicatedPostgres, startReplicatedPostgres } from '@spillway/local-servers/testing';
import type { Pool } from 'pg';
import { migrate } from './migrate/migrate.ts';
import { listBlocks } from './trail/event-rows.ts';

const database = useDatabase('empty');

async function listeners(): Promise<number> {
  return withConnection(database.pool, async (connection) => Promise.resolve(connection.listenerCount('error')));
}

test('gives the connection back after success', async () => {
  const pid = async (): Promise<unknown> =>
    withConnection(database.pool, async (connection) => (await connection.query('SELECT pg_backend_pid()')).rows[0]);
  expect(await pid()).toEqual(await pid());
  expect(database.pool.idleCount).toBe(1);
});

test('closes the connection after a failure, so that nobody gets its open transaction', async () => {
  const failing = withConnection(database.pool, async (connection) => {
    await connection.query('BEGIN');
    throw new Error('mid-way');
  });
  await expect(failing).rejects.toThrow('mid-way');
  expect(database.pool.totalCount).toBe(0);
});

test('a connection that breaks while in use rejects and does not end the process', async () => {
  const broken = withConnection(database.pool, async (connection) => {
    const { rows } = await connection.query('SELECT pg_backend_pid() AS pid');
    return Promise.all([
      connection.query('SELECT pg_sleep(60)'),
      database.pool.query('SELECT pg_terminate_backend($1)', [rows[0].pid]),
    ]);
  });
  await expect(broken).rejects.toMatchObject({ code: '57P01' });
});

// Nothing is there to reject then: the error comes as an event alone, and unheard it once ended the worker.
test('a connection that breaks between two queries does not end the process, and the next query rejects', async () => {
  const broken = withConnection(database.pool, async (connection) => {
    const { rows } = await connection.query('SELECT pg_backend_pid() AS pid');
    const ended = new Promise<void>((resolve) => connection.once('end', resolve));
    await database.pool.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
    await ended;
    return connection.query('SELECT 1');
  });
  await expect(broken).rejects.toThrow('not queryable');
});

test('does not pile up listeners on a connection that is used again and again', async () => {
  const first = await listeners();
  await listeners();
  expect(await listeners()).toBe(first);
});

function ignore(): void {}

describe('createPool', () => {
  test('survives the end of its idle connections, calls onError, and reconnects', async () => {
    const onError = vi.fn<(error: Error) => void>();
    const pool = createPool({ connectionString: database.url, onError });
    try {
      const { rows } = await pool.query('SELECT pg_backend_pid() AS pid');
      await database.pool.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
      await expect.poll(() => onError.mock.calls.length).toBe(1);
      expect(onError.mock.calls[0]?.[0]).toMatchObject({ code: '57P01' });
      expect((await pool.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
    } finally {
      await pool.end();
    }
  });

  test('shows its name in pg_stat_activity', async () => {
    const pool = createPool({ connectionString: database.url, onError: ignore, applicationName: 'spillway worker' });
    try {
      const { rows } = await pool.query(`SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()`);
      expect(rows).toEqual([{ application_name: 'spillway worker' }]);
    } finally {
      await pool.end();
    }
  });

  test('has Postgres end a statement that takes too long', async () => {
    const pool = createPool({ connectionString: database.url, onError: ignore, statementTimeoutMs: 50 });
    try {
      await expect(pool.query('SELECT pg_sleep(60)')).rejects.toMatchObject({ code: '57014' });
    } finally {
      await pool.end();
    }
  });

  test('gives up by its own timer behind a pooler, where Postgres was not asked to', async () => {
    const options = {
      connectionString: database.url,
      onError: ignore,
      statementTimeoutMs: 100,
      server: 'pgbouncer',
    } as const;
    const pool = createPool(options);
    try {
      expect((await pool.query('SHOW statement_timeout')).rows).toEqual([{ statement_timeout: '0' }]);
      await expect(pool.query('SELECT pg_sleep(60)')).rejects.toThrow('Query read timeout');
    } finally {
      await pool.end();
      await database.pool.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND query = 'SELECT pg_sleep(60)'`,
      );
    }
  });

  describe('refuses', () => {
    const good: PoolOptions = { connectionString: 'postgres://localhost/x', onError: ignore };

    test.each<[string, Record<string, unknown>]>([
      ['connectionString', { connectionString: 'mysql://localhost' }],
      ['onError', { onError: undefined }],
      ['applicationName', { applicationName: '' }],
      ['max', { max: 0 }],
      ['statementTimeoutMs', { statementTimeoutMs: 1.5 }],
      ['connectTimeoutMs', { connectTimeoutMs: -1 }],
      ['idleTimeoutMs', { idleTimeoutMs: 2 ** 31 }],
      ['server', { server: 'oracle' }],
    ])('a bad %s, by name', (option, bad) => {
      expect(() => createPool(Object.assign({}, good, bad))).toThrow(
        expect.objectContaining({ code: 'invalid_option', option, message: expect.stringContaining(`"${option}"`) }),
      );
    });

    test('a bad connectionString without repeating its password', () => {
      const connectionString = 'http://me:secret@localhost';
      expect(() => createPool({ ...good, connectionString })).toThrow(/^(?!.*secret)/u);
    });
  });
});

const open = (connectionString: string): Pool => createPool({ connectionString, onError: () => undefined });

describe('readBehindMs', () => {
  let servers: ReplicatedPostgres;
  let primary: Pool;
  let replica: Pool;

  beforeAll(async () => {
    servers = await startReplicatedPostgres();
    await migrate({ connectionString: servers.primary.url });
    [primary, replica] = [open(servers.primary.url), open(servers.replica.url)];
  });
  afterAll(async () => {
    await Promise.all([primary.end(), replica.end()]);
    await servers.stop();
  });

  it('a server that takes writes is not behind anybody', async () => {
    expect(await readBehindMs(primary)).toBeNull();
  });

  it('a replica that has all is 0 ms behind, and its lists can be read', async () => {
    await expect.poll(async () => readBehindMs(replica)).toBe(0);
    await expect.poll(async () => (await listBlocks(replica, {})).rows).toEqual([]);
  });

  it('one whose primary is gone says how old its data are', async () => {
    await replica.query('SELECT pg_wal_replay_pause()');
    await primary.query('CREATE TABLE written_later (id int)');
    await expect.poll(async () => readBehindMs(replica)).toBeGreaterThan(0);
    await replica.query('SELECT pg_wal_replay_resume()');
    await expect.poll(async () => readBehindMs(replica)).toBe(0);
    await servers.primary.kill();
    await expect.poll(async () => readBehindMs(replica)).toBeGreaterThan(0);
  });
});

async function run<T>(options: TransactionOptions, sql: string): Promise<T[]> {
  return withConnection(database.pool, async (connection) =>
    transaction(connection, options, async () => (await connection.query(sql)).rows),
  );
}

describe('transaction', () => {
  beforeEach(async () => {
    await database.pool.query('CREATE TABLE t (n int)');
  });

  test('commits what the work did', async () => {
    await run({}, 'INSERT INTO t VALUES (1)');
    expect((await database.pool.query('SELECT * FROM t')).rows).toEqual([{ n: 1 }]);
  });

  test('rolls back and rejects with the error of the work', async () => {
    const failing = withConnection(database.pool, async (connection) =>
      transaction(connection, {}, async () => {
        await connection.query('INSERT INTO t VALUES (1)');
        await connection.query('SELECT 1 / 0');
      }),
    );
    await expect(failing).rejects.toMatchObject({ code: '22012' });
    expect((await database.pool.query('SELECT * FROM t')).rows).toEqual([]);
  });

  test('rejects with what broke the connection, not with the rollback that then fails too', async () => {
    await expect(run({}, 'SELECT pg_terminate_backend(pg_backend_pid())')).rejects.toMatchObject({ code: '57P01' });
  });

  test('applies its settings until its end and no longer', async () => {
    const settings = `SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement,
                           current_setting('timezone') AS zone, current_setting('synchronous_commit') AS commit`;
    const before = await database.pool.query(settings);
    const options = {
      lockTimeoutMs: 70,
      statementTimeoutMs: 80,
      timeZone: 'Asia/Tokyo',
      synchronousCommit: 'off',
    } as const;
    expect(await run(options, settings)).toEqual([
      { lock: '70ms', statement: '80ms', zone: 'Asia/Tokyo', commit: 'off' },
    ]);
    expect((await database.pool.query(settings)).rows).toEqual(before.rows);
    expect(database.pool.totalCount).toBe(1);
  });
});
