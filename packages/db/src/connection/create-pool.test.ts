import { describe, expect, test, vi } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { createPool, type PoolOptions } from './create-pool.ts';

const database = useDatabase('empty');

function ignore(): void {}

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
