import { beforeEach, expect, test } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { transaction, type TransactionOptions } from './transaction.ts';
import { withConnection } from './connection.ts';

const database = useDatabase('empty');

beforeEach(async () => {
  await database.pool.query('CREATE TABLE t (n int)');
});

async function run<T>(options: TransactionOptions, sql: string): Promise<T[]> {
  return withConnection(database.pool, async (connection) =>
    transaction(connection, options, async () => (await connection.query(sql)).rows),
  );
}

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
