import { describe, expect, test } from 'vitest';
import { cutoff, orders, ordersToArchive } from '../../test/orders.ts';
import { useDatabase } from '../../test/use-database.ts';
import { cleanUpRows } from '../cleanup/clean-up-rows.ts';
import { withConnection } from '../connection.ts';
import { archiveRows } from './archive-rows.ts';

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

const run = async (sql: string): Promise<unknown> => database.pool.query(sql);

describe('one odd row keeps no other from moving', () => {
  test('dated in year 1 moves into a month of its own', async () => {
    await createOrders(700);
    await run(`INSERT INTO orders (id, at) VALUES (9001, '0001-01-01 00:00:00+00'), (9002, '0099-12-31 23:59:59+00')`);
    const report = await archive();
    expect(report).toMatchObject({ stopped: 'done', complete: true, refused: 0, warnings: [] });
    expect(report.partitionsCreated.slice(0, 2)).toEqual(['orders_0001_01', 'orders_0099_12']);
    expect(await query('SELECT id FROM orders WHERE id > 9000')).toEqual([]);
  });

  test('dated before Christ, or never, stays and is told of', async () => {
    await createOrders(700);
    const { moved } = await archive({ dryRun: true });
    await run(`INSERT INTO orders (id, at) VALUES (9001, '0044-03-15 12:00:00+00 BC'), (9002, '-infinity')`);
    expect(await archive()).toMatchObject({
      moved,
      stopped: 'done',
      complete: false,
      warnings: ['1 row(s) dated before year 1 stay'],
    });
    expect(await query('SELECT id FROM orders WHERE id > 9000 ORDER BY id')).toEqual([{ id: 9001 }, { id: 9002 }]);
  });

  test.each([
    ['in the archive already', 'duplicate key value violates unique constraint'],
    ['against a check', 'violates check constraint "cold_check"'],
    ['that a trigger refuses', 'not this one'],
  ])('%s stays, wherever it is in a batch', async (kind, reason) => {
    await createOrders(700);
    await archive({ cutoff: new Date('2025-12-04T00:00:00Z') });
    const old = await query<{ id: number }>(`SELECT id FROM orders WHERE at < '2025-12-09 00:00+00' ORDER BY at`);
    const odd = [old[0]?.id, old[37]?.id, old[38]?.id, old.at(-1)?.id];
    await run(
      {
        'in the archive already': `ALTER TABLE cold.orders ADD CONSTRAINT cold_key UNIQUE (id, at);
          INSERT INTO cold.orders SELECT id, at, status FROM orders WHERE id IN (${odd.join()})`,
        'against a check': `ALTER TABLE cold.orders ADD CONSTRAINT cold_check CHECK (id NOT IN (${odd.join()})) NOT VALID`,
        'that a trigger refuses': `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN IF NEW.id IN (${odd.join()}) THEN RAISE EXCEPTION ''not this one''; END IF; RETURN NEW; END';
          CREATE TRIGGER refuse BEFORE INSERT ON cold.orders FOR EACH ROW EXECUTE FUNCTION refuse()`,
      }[kind] ?? '',
    );
    const until = { cutoff: new Date('2025-12-09T00:00:00Z') };
    const report = await archive(until);
    expect(report).toMatchObject({ moved: old.length - 4, refused: 4, complete: false, stopped: 'done' });
    expect(report.warnings.join('\n')).toContain(reason);
    expect(await query(`SELECT id FROM orders WHERE at < '2025-12-09 00:00+00' ORDER BY at`)).toEqual(
      odd.map((id) => ({ id })),
    );
    // The next run is no worse off.
    expect(await archive(until)).toMatchObject({ moved: 0, refused: 4 });
  });

  test('of a month whose place a stranger has stays with its month', async () => {
    await createOrders(1_000);
    await run('CREATE TABLE cold.orders_2025_11 (note text)');
    const report = await archive();
    expect(report).toMatchObject({ stopped: 'done', complete: false, partitionsCreated: ['orders_2025_12'] });
    expect(report.warnings.join()).toContain('rows of 2025_11 stay');
    expect(await query(`SELECT count(*)::int AS n FROM orders WHERE at < '2025-12-01 00:00+00'`)).toEqual([
      { n: (await census()).live - 528 },
    ]);
    expect(report.moved).toBeGreaterThan(0);
  });

  test('goes into the DEFAULT partition where that has rows of its month', async () => {
    await createOrders(1_000);
    await run(`
      CREATE TABLE cold.orders_rest PARTITION OF cold.orders DEFAULT;
      INSERT INTO cold.orders (id, at, status) VALUES (9001, '2025-11-25 00:00+00', 'paid')`);
    const report = await archive();
    expect(report).toMatchObject({ moved: 472, complete: true, partitionsCreated: ['orders_2025_12'] });
    expect(report.warnings.join()).toContain('rows of 2025_11 go into the DEFAULT partition of cold.orders');
  });
});

test('gives up when the target refuses more rows than could be exceptions', async () => {
  await createOrders(1);
  await run(`
    INSERT INTO orders SELECT n, '2025-11-01 00:00+00' FROM generate_series(1, 1100) AS n;
    ALTER TABLE cold.orders ADD CONSTRAINT cold_check CHECK (false) NOT VALID`);
  await expect(archive()).rejects.toMatchObject({ code: 'archive_error', reason: 'refused_rows' });
}, 180_000);

/** A user that may do everything but see rows. */
async function asMaintainer(): Promise<void> {
  await createOrders(700);
  await run(`
    CREATE ROLE orders_maintainer;
    GRANT USAGE, CREATE ON SCHEMA public, cold TO orders_maintainer;
    GRANT ALL ON orders TO orders_maintainer;
    ALTER TABLE cold.orders OWNER TO orders_maintainer;
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY`);
}
const told = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What the two jobs find as that user, who is gone afterwards. */
async function work(): Promise<unknown[]> {
  return withConnection(database.pool, async (connection) => {
    await connection.query('SET ROLE orders_maintainer');
    const rule = { table: orders.source, timestampColumn: 'at', retentionDays: 30 };
    try {
      return [
        await archiveRows(connection, orders, { cutoff, dryRun: true }).then(({ moved }) => moved, told),
        await cleanUpRows(connection, rule, { dryRun: true }).then(({ deleted }) => deleted, told),
      ];
    } finally {
      await connection.query('RESET ROLE; DROP OWNED BY orders_maintainer CASCADE; DROP ROLE orders_maintainer');
    }
  });
}

describe('row-level security', () => {
  const hidden =
    'row-level security of public.orders may hide rows from orders_maintainer: CREATE POLICY spillway_archival';

  test.each([
    ['without a policy', ''],
    ['with a policy for others', 'CREATE POLICY p ON orders TO pg_monitor USING (true)'],
    ['with a policy for some rows', `CREATE POLICY p ON orders TO orders_maintainer USING (status = 'x')`],
    ['with a policy for reading alone', 'CREATE POLICY p ON orders FOR SELECT USING (true)'],
    [
      'with one that restricts',
      `CREATE POLICY p ON orders USING (true); CREATE POLICY r ON orders AS RESTRICTIVE USING (status = 'x')`,
    ],
  ])('is told of, and nothing is taken for done, %s', async (_, sql) => {
    await asMaintainer();
    await run(sql);
    const [archived, cleaned] = await work();
    expect(archived).toContain(hidden);
    expect(cleaned).toContain(hidden);
  });

  test.each([
    ['a policy that shows all', 'CREATE POLICY p ON orders TO orders_maintainer USING (true)'],
    ['a policy for everybody', 'CREATE POLICY p ON orders USING (true)'],
    ['BYPASSRLS', 'ALTER ROLE orders_maintainer BYPASSRLS'],
  ])('does not matter to a user with %s', async (_, sql) => {
    await asMaintainer();
    await run(sql);
    expect(await work()).toEqual([172, 700]);
  });
});
