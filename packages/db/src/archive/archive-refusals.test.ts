import { describe, expect, test } from 'vitest';
import { orders, ordersToArchive } from '../../test/orders.ts';
import { useDatabase } from '../../test/use-database.ts';

const database = useDatabase();
const { archive, census, createOrders, query } = ordersToArchive(database);

describe('refuses, and moves nothing', () => {
  test('when a batch would store fewer rows than it deletes', async () => {
    await createOrders(700);
    await database.pool.query(`
      CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN CASE WHEN NEW.id = 650 THEN NULL ELSE NEW END; END';
      CREATE TRIGGER swallow BEFORE INSERT ON cold.orders FOR EACH ROW EXECUTE FUNCTION swallow()`);
    await expect(archive()).rejects.toMatchObject({
      code: 'archive_error',
      reason: 'count_mismatch',
      message: expect.stringContaining('deleted 100 rows but stored 99'),
    });
    expect(await census()).toEqual({ live: 700, cold: 0, both: 0 });
  });

  test.each([
    [
      'a column that the archive lacks',
      'ALTER TABLE orders ADD note text',
      'target cold.orders lacks column "note" (text)',
    ],
    [
      'a column of another type',
      'ALTER TABLE orders ALTER status TYPE varchar(9)',
      'column "status" is character varying(9) in the source, but text in target cold.orders',
    ],
    [
      'a column that may not be null there',
      'ALTER TABLE orders ALTER status DROP NOT NULL',
      'column "status" may be null in the source, but not in target cold.orders',
    ],
    [
      'a column that the archive demands',
      'ALTER TABLE cold.orders ADD why text NOT NULL',
      'target cold.orders demands a value for column "why", which the source lacks',
    ],
    [
      'a cascading foreign key',
      'CREATE TABLE items (order_id int CONSTRAINT items_order REFERENCES orders ON DELETE CASCADE)',
      'foreign key items_order on items would delete or change rows there when rows leave the source',
    ],
    [
      'a foreign key that sets null',
      'CREATE TABLE items (order_id int CONSTRAINT items_order REFERENCES orders ON DELETE SET NULL)',
      'foreign key items_order on items would delete or change rows there when rows leave the source',
    ],
    ['a missing archive', 'DROP TABLE cold.orders', 'target cold.orders does not exist'],
  ])('%s', async (_, sql, problem) => {
    await createOrders(700);
    await database.pool.query(sql);
    await expect(archive()).rejects.toMatchObject({ reason: 'preflight', table: 'public.orders', problems: [problem] });
    expect(await query('SELECT count(*)::int AS n FROM orders')).toEqual([{ n: 700 }]);
  });

  test.each([
    [
      'a missing timestamp column',
      { timestampColumn: 'made' },
      'public.orders has no column "made": name its column of time',
    ],
    [
      'a timestamp column of text',
      { timestampColumn: 'status' },
      'must be timestamptz, timestamp or date, but is text',
    ],
  ])('%s', async (_, table, problem) => {
    await createOrders(1);
    await expect(archive({}, table)).rejects.toThrow(problem);
  });

  test.each([
    ['retentionDays', { retentionDays: -1 }],
    ['batchSize', { batchSize: 0 }],
    ['where', { where: ' ' }],
    ['timestampColumn', { timestampColumn: '' }],
    ['target', { target: orders.source }],
  ])('a bad %s', async (option, table) => {
    await expect(archive({}, table)).rejects.toMatchObject({ code: 'invalid_option', option });
  });
});

test('warns of a trigger and of a missing index', async () => {
  await createOrders(10);
  await database.pool.query(`
    DROP INDEX orders_at_idx;
    CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END';
    CREATE TRIGGER watcher BEFORE DELETE ON orders FOR EACH ROW EXECUTE FUNCTION noop()`);
  expect((await archive({ dryRun: true })).warnings).toEqual([
    'trigger watcher of the source runs for each moved row',
    'no index of the source begins with "at": each batch reads the whole table',
  ]);
});
