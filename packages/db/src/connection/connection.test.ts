import { expect, test } from 'vitest';
import { useDatabase } from '../../test/use-database.ts';
import { withConnection } from './connection.ts';

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
