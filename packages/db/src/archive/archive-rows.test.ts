import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cutoff, orders, ordersToArchive } from '../../test/orders.ts';
import { useDatabase } from '../../test/use-database.ts';
import { archiveRows } from './archive-rows.ts';
import { nextBatchSize } from './move-batch.ts';
import { builtInArchives } from './archive-table.ts';
import { withConnection } from '../connection.ts';

const database = useDatabase();
const { archive, census, createOrders, query } = ordersToArchive(database);

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

test('begins with 5,000 rows a transaction unless told otherwise, and counts them inside it', async () => {
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

test.each([
  { size: 5_000, durationMs: 20, next: 10_000, what: 'twice as many while the last one was quick' },
  { size: 15_000, durationMs: 20, next: 20_000, what: 'no more than the table allows' },
  { size: 20_000, durationMs: 500, next: 10_000, what: 'as many as fit into 250 ms' },
  { size: 20_000, durationMs: 60_000, next: 1_000, what: 'no fewer than 1,000 because it is slow' },
  { size: 1, durationMs: 900, next: 2, what: 'twice as many after a row that was refused' },
])('a batch takes $what', ({ size, durationMs, next }) =>
  expect(nextBatchSize({ size, durationMs }, 20_000)).toBe(next),
);

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
