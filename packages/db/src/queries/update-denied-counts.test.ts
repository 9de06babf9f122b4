import { randomUUID } from 'node:crypto';
import { assert, expect, test } from 'vitest';
import { transaction } from '../connection/transaction.ts';
import { withConnection } from '../connection/with-connection.ts';
import { blockRow, noonMs } from '../testing/rows.ts';
import { useDatabase } from '../testing/use-database.ts';
import type { BlockRow } from './block-row.ts';
import { insertBlocks } from './insert-blocks.ts';
import { type DeniedCount, updateDeniedCounts } from './update-denied-counts.ts';

const database = useDatabase();

async function read(id: string): Promise<{ denied: number; lastMs: number; updatedMs: number }> {
  const { rows } = await database.pool.query(
    `SELECT denied_count::int AS denied, (extract(epoch FROM last_request_at) * 1000)::float8 AS "lastMs",
            (extract(epoch FROM updated_at) * 1000)::float8 AS "updatedMs" FROM rate_limits_v2 WHERE id = $1`,
    [id],
  );
  return rows[0];
}

function count({ id }: BlockRow, deniedCount: number): DeniedCount {
  return { id, deniedCount, lastRequestAtMs: noonMs };
}

test('raises the count and the time of the last request', async () => {
  const row = blockRow({ deniedCount: 1, lastRequestAtMs: noonMs });
  await insertBlocks(database.pool, [row, blockRow()]);
  await database.pool.query(`UPDATE rate_limits_v2 SET updated_at = '2025-06-01'`);
  const report = await updateDeniedCounts(database.pool, [
    { id: row.id, deniedCount: 40, lastRequestAtMs: noonMs + 5 },
  ]);
  expect(report).toEqual({ updated: 1, missing: [] });
  const { denied, lastMs, updatedMs } = await read(row.id);
  expect({ denied, lastMs }).toEqual({ denied: 40, lastMs: noonMs + 5 });
  expect(updatedMs).toBeGreaterThan(noonMs);
});

test('reports that come late, twice or mixed up leave the highest values', async () => {
  const row = blockRow();
  await insertBlocks(database.pool, [row]);
  const report = (deniedCount: number, lastRequestAtMs: number) => ({ id: row.id, deniedCount, lastRequestAtMs });
  expect(await updateDeniedCounts(database.pool, [report(9, noonMs + 9), report(30, noonMs + 3)])).toEqual({
    updated: 1,
    missing: [],
  });
  expect(await updateDeniedCounts(database.pool, [report(5, noonMs)])).toEqual({ updated: 0, missing: [] });
  expect(await updateDeniedCounts(database.pool, [report(30, noonMs + 9)])).toEqual({ updated: 0, missing: [] });
  expect(await read(row.id)).toMatchObject({ denied: 30, lastMs: noonMs + 9 });
});

test('names the blocks that are not there', async () => {
  const row = blockRow();
  await insertBlocks(database.pool, [row]);
  const strangers = [randomUUID(), randomUUID()].toSorted();
  const counts = [row.id, ...strangers].map((id) => ({ id, deniedCount: 2, lastRequestAtMs: noonMs }));
  expect(await updateDeniedCounts(database.pool, counts)).toEqual({ updated: 1, missing: strangers });
});

test('sends nothing for no counts', async () => {
  const nobody = { query: () => Promise.reject(new Error('A statement was sent')) };
  expect(await updateDeniedCounts(nobody, [])).toEqual({ updated: 0, missing: [] });
});

test('touches no index, since the page has room', async () => {
  const rows = Array.from({ length: 200 }, () => blockRow());
  await insertBlocks(database.pool, rows);
  // One or two of each page, which is filled in order of id.
  const grown = rows.toSorted((a, b) => (a.id < b.id ? -1 : 1)).filter((_, index) => index % 20 === 0);
  const counts = grown.map((row) => count(row, 2));
  const { rows: updates } = await withConnection(database.pool, async (connection) =>
    transaction(connection, {}, async () => {
      await updateDeniedCounts(connection, counts);
      return connection.query(`
        SELECT pg_stat_get_xact_tuples_updated('rate_limits_v2'::regclass)::int AS total,
               pg_stat_get_xact_tuples_hot_updated('rate_limits_v2'::regclass)::int AS without_index`);
    }),
  );
  expect(updates).toEqual([{ total: 10, without_index: 10 }]);
});

// Unsorted, each of two batches came to hold what the other waited for, and Postgres ended one of them.
test('locks in order of id whatever the order of the batch or the table, so that two batches do not deadlock', async () => {
  const [low, high] = [randomUUID(), randomUUID()].toSorted().map((id) => blockRow({ id }));
  assert(low !== undefined && high !== undefined);
  await insertBlocks(database.pool, [high]);
  await insertBlocks(database.pool, [low]);
  await withConnection(database.pool, async (other) => {
    await other.query('BEGIN');
    await updateDeniedCounts(other, [count(low, 10)]);
    const waiting = updateDeniedCounts(database.pool, [count(high, 20), count(low, 20)]);
    await expect
      .poll(async () => (await database.pool.query('SELECT FROM pg_locks WHERE NOT granted')).rowCount)
      .toBeGreaterThan(0);
    expect((await updateDeniedCounts(other, [count(high, 10)])).updated).toBe(1);
    await other.query('COMMIT');
    expect(await waiting).toEqual({ updated: 2, missing: [] });
  });
  expect(await read(low.id)).toMatchObject({ denied: 20 });
  expect(await read(high.id)).toMatchObject({ denied: 20 });
});
