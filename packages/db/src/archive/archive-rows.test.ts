import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { withConnection } from '../connection/with-connection.ts';
import { useDatabase } from '../testing/use-database.ts';
import { archiveRows, type ArchiveRowsOptions, type ArchiveRowsReport } from './archive-rows.ts';
import { type ArchiveTable, builtInArchives } from './archive-table.ts';

const database = useDatabase();
const cutoff = new Date('2025-12-10T00:00:00Z');

const orders: ArchiveTable = {
  source: { schema: 'public', name: 'orders' },
  target: { schema: 'cold', name: 'orders' },
  timestampColumn: 'at',
  retentionDays: 30,
  batchSize: 100,
};

/** `rows` orders, one each hour back from `newest`; the archive is partitioned and has no partition yet. */
async function createOrders(rows: number, newest = '2025-12-31 23:00:00+00', type = 'timestamptz'): Promise<void> {
  await database.pool.query(`
    CREATE TABLE orders (id int PRIMARY KEY, at ${type} NOT NULL, status text NOT NULL DEFAULT 'paid');
    CREATE INDEX orders_at_idx ON orders (at);
    CREATE SCHEMA cold;
    CREATE TABLE cold.orders (LIKE orders, archived_at timestamptz NOT NULL DEFAULT now()) PARTITION BY RANGE (at);
    INSERT INTO orders SELECT n, timestamptz '${newest}' - n * interval '1 hour' FROM generate_series(0, ${rows - 1}) AS n`);
}

async function archive(
  options: ArchiveRowsOptions = {},
  table: Partial<ArchiveTable> = {},
): Promise<ArchiveRowsReport> {
  return withConnection(database.pool, async (connection) =>
    archiveRows(connection, { ...orders, ...table }, { cutoff, ...options }),
  );
}

async function query<Row extends object>(sql: string): Promise<Row[]> {
  return (await database.pool.query<Row>(sql)).rows;
}

/** Rows in source, in archive and in both. */
async function census(): Promise<{ live: number; cold: number; both: number }> {
  const [row] = await query<{ live: number; cold: number; both: number }>(`
    SELECT (SELECT count(*)::int FROM orders) AS live, (SELECT count(*)::int FROM cold.orders) AS cold,
           (SELECT count(*)::int FROM orders JOIN cold.orders USING (id)) AS both`);
  return row ?? { live: -1, cold: -1, both: -1 };
}

test('moves exactly the rows before the cutoff, over new year, and makes their months', async () => {
  await createOrders(1_000);
  const progress: unknown[] = [];
  const report = await archive({ onProgress: (each) => progress.push(each) });
  // 2025-12-09 23:00 is 528 hours before the newest.
  expect(report).toMatchObject({
    moved: 472,
    cutoff,
    stopped: 'done',
    partitionsCreated: ['orders_2025_11', 'orders_2025_12'],
    warnings: [],
    batches: 5,
  });
  expect(progress.at(-1)).toEqual({ done: 472, total: 472 });
  expect(await census()).toEqual({ live: 528, cold: 472, both: 0 });
  expect(await query(`SELECT id FROM cold.orders WHERE at >= '2025-12-10 00:00+00'`)).toEqual([]);
  expect(await archive()).toMatchObject({ moved: 0, partitionsCreated: [], batches: 0 });
});

test('moves the rows of the three built-in tables as they are, and no unfinished generation', async () => {
  await database.pool.query(`
    INSERT INTO generations (user_id, provider, status, created_at)
    SELECT 'ada', 'runware', status, timestamptz '2024-02-29 12:00:00.123456+00'
    FROM unnest(ARRAY['pending', 'processing', 'completed', 'failed', 'cancelled']) AS status;
    INSERT INTO api_call_logs (method, endpoint, status_code, duration_ms, metadata, created_at)
    VALUES ('GET', '/', 200, 3, '{"a": [1]}', now() - interval '30 days 1 minute'), ('GET', '/', 200, 3, '{}', now() - interval '29 days');
    INSERT INTO audit_logs (action, resource_type, created_at) VALUES ('login', 'user', now() - interval '91 days'), ('x', 'y', now() - interval '89 days')`);
  const before = await query(`SELECT to_jsonb(g) AS row FROM generations g WHERE status = 'failed'`);
  const moved = [];
  for (const table of builtInArchives) {
    moved.push(await withConnection(database.pool, async (connection) => (await archiveRows(connection, table)).moved));
  }
  expect(moved).toEqual([1, 1, 3]);
  expect(await query('SELECT status FROM generations ORDER BY status')).toEqual([
    { status: 'pending' },
    { status: 'processing' },
  ]);
  expect(
    await query(`SELECT to_jsonb(g) - 'archived_at' AS row FROM archive.generations g WHERE status = 'failed'`),
  ).toEqual(before);
});

test('moves 5,000 rows a transaction unless told otherwise, and counts them inside it', async () => {
  await createOrders(1);
  await database.pool.query(`
    CREATE TABLE batches (rows int, xid xid8);
    INSERT INTO orders SELECT n, '2025-11-01 00:00+00' FROM generate_series(1, 5001) AS n`);
  await withConnection(database.pool, async (connection) => {
    const record = async (moved: number): Promise<void> => {
      await connection.query('INSERT INTO batches VALUES ($1, pg_current_xact_id())', [moved]);
    };
    const { batchSize: _, ...table } = orders;
    await archiveRows(connection, table, { cutoff, record });
  });
  // Rows know the transaction that stored them.
  expect(
    await query(`SELECT rows, (SELECT count(*)::int FROM cold.orders WHERE xmin = xid::xid) AS stored FROM batches`),
  ).toEqual([
    { rows: 5_000, stored: 5_000 },
    { rows: 1, stored: 1 },
  ]);
});

test('only counts in a dry run', async () => {
  await createOrders(1_000);
  expect(await archive({ dryRun: true })).toMatchObject({ moved: 472, partitionsCreated: [] });
  expect(await census()).toEqual({ live: 1_000, cold: 0, both: 0 });
});

test('stops at its time budget or when told, and goes on from there the next time', async () => {
  await createOrders(1_000);
  const stop = new AbortController();
  expect(await archive({ signal: stop.signal, onProgress: () => stop.abort() })).toMatchObject({
    moved: 100,
    stopped: 'aborted',
  });
  expect(await archive({ timeBudgetMs: 0 })).toMatchObject({ moved: 0, stopped: 'time_budget' });
  expect(await archive()).toMatchObject({ moved: 372, stopped: 'done' });
  expect(await census()).toEqual({ live: 528, cold: 472, both: 0 });
});

test('archives by a condition, into a table that is not partitioned, by a date column', async () => {
  await createOrders(100, '2025-11-30 00:00:00+00', 'date');
  await database.pool.query(`
    UPDATE orders SET status = 'open' WHERE id % 2 = 0;
    CREATE TABLE cold.plain (LIKE orders)`);
  const target = { schema: 'cold', name: 'plain' };
  expect(await archive({}, { target, where: `status = 'paid' OR false` })).toMatchObject({ moved: 50 });
  expect(await query(`SELECT count(*)::int AS n FROM orders WHERE status = 'paid'`)).toEqual([{ n: 0 }]);
});

test('leaves rows that end of time or nobody dated', async () => {
  await createOrders(10);
  await database.pool.query(`ALTER TABLE orders ALTER at DROP NOT NULL; ALTER TABLE cold.orders ALTER at DROP NOT NULL;
    INSERT INTO orders VALUES (100, '-infinity'), (101, 'infinity'), (102, NULL)`);
  expect(await archive({ cutoff: new Date('2030-01-01T00:00:00Z') })).toMatchObject({ moved: 10, stopped: 'done' });
  expect(await query('SELECT id FROM orders ORDER BY id')).toEqual([{ id: 100 }, { id: 101 }, { id: 102 }]);
});

describe('while others work', () => {
  test('skips a row that somebody has locked and takes it the next time', async () => {
    await createOrders(700);
    await withConnection(database.pool, async (other) => {
      await other.query('BEGIN');
      await other.query(`UPDATE orders SET status = 'late' WHERE id IN (600, 699)`);
      expect(await archive()).toMatchObject({ moved: 170, stopped: 'done' });
      await other.query('COMMIT');
    });
    expect(await archive()).toMatchObject({ moved: 2 });
    expect(await query(`SELECT id FROM cold.orders WHERE status = 'late' ORDER BY id`)).toEqual([
      { id: 600 },
      { id: 699 },
    ]);
  });

  test('four movers and a writer of old rows leave each row in exactly one table', async () => {
    await createOrders(3_000);
    const writing = (async () => {
      for (let id = 10_000; id < 10_100; id += 1) {
        await database.pool.query(
          `INSERT INTO orders VALUES ($1, timestamptz '2024-01-31 23:00+00' - $2 * interval '1 day')`,
          [id, id - 10_000],
        );
      }
    })();
    await Promise.all(Array.from({ length: 4 }, async () => archive({}, { batchSize: 50 })));
    await writing;
    await archive();
    expect(await census()).toEqual({ live: 528, cold: 2_572, both: 0 });
  });

  test('makes the month of a row that came after the start', async () => {
    await createOrders(600);
    let added = false;
    const report = await archive(
      {
        onProgress: () => {
          if (added) return;
          added = true;
          void database.pool.query(`INSERT INTO orders VALUES (9999, '2019-05-05 00:00+00')`);
        },
        record: async () => {
          // The insert above is committed before this batch is, so that a later batch meets it.
          if (added) await expect.poll(() => query('SELECT FROM orders WHERE id = 9999')).toHaveLength(1);
        },
      },
      { batchSize: 20 },
    );
    expect(report.partitionsCreated).toEqual(['orders_2025_12', 'orders_2019_05']);
  });
});

test('for any dates and batch size, the rows before the cutoff are in the archive and the others in the source', async () => {
  await createOrders(1);
  const day = fc.integer({ min: -400, max: 400 });
  await fc.assert(
    fc.asyncProperty(fc.array(day, { maxLength: 60 }), fc.integer({ min: 1, max: 70 }), async (days, batchSize) => {
      await database.pool.query('TRUNCATE orders, cold.orders');
      await database.pool.query(
        `INSERT INTO orders SELECT ordinality, $1::timestamptz + day * interval '1 day'
         FROM unnest($2::int[]) WITH ORDINALITY AS t (day, ordinality)`,
        [cutoff, days],
      );
      await archive({}, { batchSize });
      const expected = days.filter((each) => each < 0).length;
      expect(await census()).toEqual({ live: days.length - expected, cold: expected, both: 0 });
      expect(await query(`SELECT id FROM cold.orders WHERE at >= '${cutoff.toISOString()}'`)).toEqual([]);
    }),
    { numRuns: 25 },
  );
}, 60_000);

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

  test('a row that the archive has already', async () => {
    await createOrders(700);
    await archive({ dryRun: true });
    await database.pool.query('ALTER TABLE cold.orders ADD PRIMARY KEY (id, at)');
    await archive({ cutoff: new Date('2025-12-03T00:00:00Z') });
    const before = await census();
    await database.pool.query('INSERT INTO orders (id, at) SELECT id, at FROM cold.orders LIMIT 1');
    await expect(archive()).rejects.toMatchObject({ code: '23505' });
    expect(await census()).toEqual({ ...before, live: before.live + 1, both: 1 });
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
    ['a missing timestamp column', { timestampColumn: 'made' }, 'source has no column "made"'],
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
