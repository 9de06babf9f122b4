import { describe, expect, test } from 'vitest';
import { withClient } from '../postgres/databases.ts';
import { usePostgres } from './use-postgres.ts';

let migrations = 0;
async function migrate(url: string): Promise<void> {
  migrations += 1;
  await withClient(url, (client) => client.query('CREATE TABLE thing (id int PRIMARY KEY)'));
}

describe('a database for each test', () => {
  const postgres = usePostgres({ migrate, scope: 'test' });

  test.each([[1], [2]])('is migrated and empty, round %i', async () => {
    expect((await postgres.pool.query('SELECT * FROM thing')).rowCount).toBe(0);
    await postgres.pool.query('INSERT INTO thing VALUES (1)');
    expect(migrations).toBe(1);
  });

  test('can have another one beside it', async () => {
    await postgres.pool.query('INSERT INTO thing VALUES (1)');
    const other = await postgres.createDatabase();
    expect(other).not.toBe(postgres.url);
    expect(await withClient(other, async (client) => (await client.query('SELECT * FROM thing')).rowCount)).toBe(0);
  });
});

describe('a database for the file', () => {
  const postgres = usePostgres();

  test('is empty at first', async () => {
    const { rowCount } = await postgres.pool.query('CREATE TABLE mine AS SELECT 1');
    expect(rowCount).toBe(1);
  });

  test('is the same in the next test', async () => {
    expect((await postgres.pool.query('SELECT * FROM mine')).rowCount).toBe(1);
  });
});

test('a template name must be fit for a database name', () => {
  expect(() => usePostgres({ template: 'no spaces' })).toThrow(/template must be .* got "no spaces"/);
});
