import { describe, expect, test } from 'vitest';
import { ensurePartitions } from '../partitions/ensure-partitions.ts';
import { orders, partitionedOrders } from '../../test/orders.ts';
import { useDatabase } from '../../test/use-database.ts';
import { withConnection } from '../connection.ts';

const database = useDatabase();
const { archive, census, createOrders, partitionsOf, query, run } = partitionedOrders(database);

/** 30 days of hours a month: those of September to December 2025, and a cutoff of 10 December. */
const months = ['orders_2025_09', 'orders_2025_10', 'orders_2025_11', 'orders_2025_12'];

const count = async (table: string): Promise<number | undefined> =>
  (await query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`))[0]?.n;

describe('a live table by month', () => {
  test('gives whole months to the archive, with their rows counted, and the month of the cutoff waits', async () => {
    await createOrders();
    await withConnection(database.pool, async (connection) =>
      ensurePartitions(connection, { table: orders.target, now: new Date('2025-10-01T00:00:00Z') }),
    );
    const progress: unknown[] = [];
    const recorded: number[] = [];
    const before = await census();
    const report = await archive({
      onProgress: (each) => progress.push(each),
      record: async (rows) => void recorded.push(rows),
    });
    expect(report).toMatchObject({
      moved: 2_184,
      partitionsMoved: [
        { partition: 'cold.orders_2025_09', rows: 720 },
        { partition: 'cold.orders_2025_10', rows: 744 },
        { partition: 'cold.orders_2025_11', rows: 720 },
      ],
      partitionsWaiting: ['public.orders_2025_12'],
      partitionsCreated: [],
      stopped: 'done',
      complete: true,
      batches: 0,
      warnings: [],
    });
    expect(recorded).toEqual([720, 744, 720]);
    expect(progress.at(-1)).toMatchObject({ done: 2_184 });
    expect(await partitionsOf('orders')).toEqual(['public.orders_2025_12']);
    expect(await partitionsOf('cold.orders')).toEqual(
      [...months.slice(0, 3), 'orders_2025_12', 'orders_2026_01'].map((name) => `cold.${name}`),
    );
    expect(await census()).toEqual(before);
    expect(
      await query(`SELECT count(*)::int AS n FROM cold.orders WHERE archived_at > now() - interval '1 hour'`),
    ).toEqual([{ n: 2_184 }]);
    expect(await archive()).toMatchObject({ moved: 0, partitionsMoved: [], complete: true });
  });

  test('only tells in a dry run', async () => {
    await createOrders();
    expect(await archive({ dryRun: true })).toMatchObject({
      moved: 2_184,
      partitionsMoved: [],
      partitionsWaiting: ['public.orders_2025_12'],
    });
    expect(await partitionsOf('orders')).toEqual(months.map((name) => `public.${name}`));
  });

  test('leaves nothing behind that belongs to the live table', async () => {
    await run('CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1)');
    await createOrders({
      columns:
        'user_id int DEFAULT 1 REFERENCES users ON DELETE CASCADE, twice int GENERATED ALWAYS AS (id * 2) STORED',
    });
    await run(`
      CREATE INDEX by_status ON orders (status);
      ALTER TABLE orders ADD CONSTRAINT status_check CHECK (status <> '');
      ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE orders_2025_09 FORCE ROW LEVEL SECURITY;
      ALTER TABLE cold.orders ENABLE ROW LEVEL SECURITY;
      CREATE POLICY p ON orders_2025_09 USING (true);
      GRANT SELECT ON orders, orders_2025_09 TO PUBLIC; GRANT UPDATE (status) ON orders_2025_09 TO PUBLIC`);
    expect(await archive()).toMatchObject({ moved: 2_184, batches: 0 });
    await run('DELETE FROM users');
    expect(await query('SELECT count(*)::int AS n, sum(twice - id * 2)::int AS off FROM cold.orders')).toEqual([
      { n: 2_184, off: 0 },
    ]);
    expect(
      await query(`
        SELECT relrowsecurity AS closed, relacl IS NULL OR relacl::text NOT LIKE '%{=%' AS private,
               (SELECT count(*)::int FROM pg_policy WHERE polrelid = c.oid) AS policies,
               (SELECT array_agg(conname::text ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid AND contype IN ('c', 'f')) AS constraints,
               (SELECT array_agg(attname::text) FROM pg_attribute a JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                WHERE a.attrelid = c.oid) AS defaults,
               has_column_privilege('spillway_reader', c.oid, 'status', 'UPDATE') AS open
        FROM pg_class c WHERE oid = 'cold.orders_2025_09'::regclass`),
    ).toEqual([
      {
        closed: true,
        private: true,
        policies: 0,
        constraints: ['status_check'],
        defaults: ['archived_at'],
        open: false,
      },
    ]);
  });

  test('stops between two partitions at its time budget or when told', async () => {
    await createOrders();
    const stop = new AbortController();
    expect(await archive({ signal: stop.signal, onProgress: () => stop.abort() })).toMatchObject({
      moved: 720,
      stopped: 'aborted',
    });
    expect(await archive({ timeBudgetMs: 0 })).toMatchObject({ moved: 0, stopped: 'time_budget', complete: false });
    expect(await archive()).toMatchObject({ moved: 1_464, stopped: 'done', complete: true });
  });
});

describe('partitions of other kinds', () => {
  test.each([
    ['timestamp', 'timestamp', undefined, 2_184],
    ['date', 'date', undefined, 2_184],
    ['timestamptz, in days', 'timestamptz', 'day', 2_184],
    ['timestamptz, in weeks that cross months', 'timestamptz', 'week', 2_184],
    ['timestamptz, in quarters', 'timestamptz', 'quarter', 720],
  ])('of %s move whole', async (_, type, unit, moved) => {
    await createOrders({ type, unit });
    const before = await census();
    const report = await archive();
    expect(report).toMatchObject({ moved, batches: 0, complete: true, warnings: [] });
    expect(await census()).toEqual(before);
    expect(await archive()).toMatchObject({ moved: 0 });
  });

  test('of a year give away the rows that are old, one by one, until the year is over', async () => {
    await createOrders({ unit: 'year' });
    const report = await archive();
    expect(report).toMatchObject({ moved: 2_400, partitionsMoved: [], partitionsWaiting: [] });
    expect(await count('orders')).toBe(528);
    await run(
      'TRUNCATE orders, cold.orders; DROP TABLE cold.orders_2025_09, cold.orders_2025_10, cold.orders_2025_11, cold.orders_2025_12',
    );
    await run(`INSERT INTO orders VALUES (1, '2025-01-01 00:00+00')`);
    expect(await archive({ cutoff: new Date('2026-01-01T00:00:00Z') })).toMatchObject({
      partitionsMoved: [{ partition: 'cold.orders_2025', rows: 1 }],
    });
  });

  test('without a beginning move whole, without an end by rows', async () => {
    await run(`
      CREATE TABLE orders (id int, at timestamptz NOT NULL, status text) PARTITION BY RANGE (at);
      CREATE TABLE ancient PARTITION OF orders FOR VALUES FROM (MINVALUE) TO ('2025-11-01 00:00+00');
      CREATE TABLE rest PARTITION OF orders FOR VALUES FROM ('2025-11-01 00:00+00') TO (MAXVALUE);
      CREATE SCHEMA cold;
      CREATE TABLE cold.orders (LIKE orders, archived_at timestamptz NOT NULL DEFAULT now()) PARTITION BY RANGE (at);
      INSERT INTO orders VALUES (1, '1999-01-01'), (2, '2025-11-02'), (3, '2025-12-20'), (4, '0044-03-15 BC'), (5, '-infinity')`);
    expect(await archive()).toMatchObject({ moved: 4, partitionsMoved: [{ partition: 'cold.ancient', rows: 3 }] });
    expect(await query('SELECT id FROM orders')).toEqual([{ id: 3 }]);
  });

  test.each([
    [
      'list',
      `LIST (status)`,
      `CREATE TABLE paid PARTITION OF orders FOR VALUES IN ('paid'); CREATE TABLE others PARTITION OF orders DEFAULT`,
    ],
    [
      'hash',
      'HASH (id)',
      `CREATE TABLE h0 PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE h1 PARTITION OF orders FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
    ],
    [
      'range of another column',
      'RANGE (id)',
      'CREATE TABLE all_ids PARTITION OF orders FOR VALUES FROM (0) TO (MAXVALUE)',
    ],
    [
      'range of two columns',
      'RANGE (at, id)',
      `CREATE TABLE all_ids PARTITION OF orders FOR VALUES FROM ('2000-01-01', 0) TO (MAXVALUE, MAXVALUE)`,
    ],
    [
      'range of an expression',
      `RANGE (date_trunc('day', at, 'UTC'))`,
      `CREATE TABLE all_days PARTITION OF orders FOR VALUES FROM (MINVALUE) TO (MAXVALUE)`,
    ],
  ])('by %s give their rows away one by one, and the report says so', async (_, by, partitions) => {
    await run(`
      CREATE TABLE orders (id int NOT NULL, at timestamptz NOT NULL, status text NOT NULL DEFAULT 'paid') PARTITION BY ${by};
      ${partitions}; CREATE INDEX ON orders (at);
      INSERT INTO orders SELECT n, timestamptz '2025-12-31 23:00+00' - n * interval '1 hour', CASE n % 3 WHEN 0 THEN 'open' ELSE 'paid' END FROM generate_series(0, 999) AS n;
      CREATE SCHEMA cold; CREATE TABLE cold.orders (LIKE orders, archived_at timestamptz NOT NULL DEFAULT now()) PARTITION BY RANGE (at)`);
    const report = await archive();
    expect(report).toMatchObject({ moved: 472, complete: true, partitionsMoved: [] });
    expect(report.warnings).toEqual([
      'source public.orders is partitioned, but not by range on "at" alone: rows move one by one, and partitions stay',
    ]);
    expect([await count('orders'), await count('cold.orders')]).toEqual([528, 472]);
  });
});

describe('a partition that cannot move whole gives its rows away one by one, and the report says why', () => {
  test.each([
    [
      'with partitions of its own',
      `ALTER TABLE orders DETACH PARTITION orders_2025_10; DROP TABLE orders_2025_10;
       CREATE TABLE orders_2025_10 PARTITION OF orders FOR VALUES FROM ('2025-10-01 00:00+00') TO ('2025-11-01 00:00+00') PARTITION BY HASH (id);
       CREATE TABLE sub PARTITION OF orders_2025_10 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
       INSERT INTO orders SELECT 10000 + n, timestamptz '2025-10-01 00:00+00' + n * interval '1 hour' FROM generate_series(0, 743) AS n`,
      'it is partitioned itself',
    ],
    [
      'whose month in the archive has rows',
      `CREATE TABLE cold.orders_2025_10 PARTITION OF cold.orders FOR VALUES FROM ('2025-10-01 00:00+00') TO ('2025-11-01 00:00+00');
       INSERT INTO cold.orders (id, at, status) VALUES (-1, '2025-10-05 00:00+00', 'paid')`,
      'cold.orders_2025_10 has rows of the same time already',
    ],
    [
      "whose time is a partition of another's in the archive",
      `CREATE TABLE cold.someones PARTITION OF cold.orders FOR VALUES FROM ('2025-10-01 00:00+00') TO ('2025-11-01 00:00+00')`,
      'cold.someones covers some of the same time',
    ],
    [
      'with rows that others refer to',
      `CREATE TABLE items (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES orders (id, at));
       INSERT INTO items SELECT id, at FROM orders WHERE at = '2025-10-05 00:00+00'`,
      'violates foreign key constraint',
      1,
    ],
    [
      'without a constraint of the archive',
      'ALTER TABLE cold.orders ADD CONSTRAINT late CHECK (id >= 0); ALTER TABLE orders_2025_09 ADD CONSTRAINT late CHECK (id >= 0); ALTER TABLE orders_2025_11 ADD CONSTRAINT late CHECK (id >= 0)',
      'child table is missing constraint "late"',
    ],
    [
      'whose name is taken in the archive',
      `ALTER TABLE orders_2025_10 RENAME TO mine; CREATE TABLE cold.mine (); CREATE TABLE cold.orders_2025_10 ()`,
      'cold.mine is the name of another table',
      744,
    ],
  ])('%s', async (_, sql, why, stay = 0) => {
    await createOrders();
    await run(sql);
    const before = await census();
    const report = await archive();
    expect(report).toMatchObject({ moved: 2_184 - stay, complete: stay === 0 });
    expect(report.partitionsMoved).toHaveLength(2);
    expect(report.warnings.join('\n')).toContain(why);
    expect(await census()).toEqual(before);
    expect(await query('SELECT partition_name FROM spillway.partition_moves')).toEqual([]);
  });

  test('with rows that do not meet the condition, which stay', async () => {
    await createOrders();
    await run(`UPDATE orders SET status = 'open' WHERE at IN ('2025-10-05 00:00+00', '2025-10-06 00:00+00')`);
    const report = await archive({}, { where: `status = 'paid'` });
    expect(report).toMatchObject({ moved: 2_182, complete: true });
    expect(report.warnings).toEqual([
      `rows of public.orders_2025_10 move one by one: it has rows that don't meet the condition "status = 'paid'"`,
    ]);
    expect(await partitionsOf('orders')).toEqual(['public.orders_2025_10', 'public.orders_2025_12']);
  });
});

test('beside a DEFAULT partition, months move whole and its rows one by one', async () => {
  await createOrders();
  await run(`
    CREATE TABLE orders_rest PARTITION OF orders DEFAULT;
    INSERT INTO orders VALUES (-1, '2020-02-02 00:00+00'), (-2, '2025-08-31 23:59+00'), (-3, '2026-03-01 00:00+00')`);
  const before = await census();
  const report = await archive();
  expect(report).toMatchObject({
    moved: 2_186,
    complete: true,
    partitionsCreated: ['orders_2020_02', 'orders_2025_08'],
  });
  expect(report.partitionsMoved).toHaveLength(3);
  expect(await census()).toEqual(before);
});

test('columns in another order, dropped ones and ones that only the archive has are no obstacle', async () => {
  await createOrders();
  await run(`
    ALTER TABLE orders ADD note text; ALTER TABLE orders DROP COLUMN note;
    DROP TABLE cold.orders;
    CREATE TABLE cold.orders (why text, status text, "Run" int DEFAULT 7, at timestamptz NOT NULL, id int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)`);
  expect(await archive()).toMatchObject({ moved: 2_184, batches: 0, warnings: [] });
  expect(await query('SELECT DISTINCT why, status, "Run" FROM cold.orders')).toEqual([
    { why: null, status: 'paid', Run: 7 },
  ]);
});
