import { describe, expect, test } from 'vitest';
import { blockRow, noonMs } from '../../test/rows.ts';
import { useDatabase } from '../../test/use-database.ts';
import { listBlocks, type ListBlocksOptions, upsertBlocks } from './blocks.ts';

const database = useDatabase();

async function allPages(options: ListBlocksOptions): Promise<string[][]> {
  const pages: string[][] = [];
  let after: string | null = null;
  do {
    const page = await listBlocks(database.pool, after === null ? options : { ...options, after });
    pages.push(page.rows.map(({ id }) => id));
    after = page.next;
  } while (after !== null);
  return pages;
}

test('an empty table is one empty page', async () => {
  expect(await listBlocks(database.pool)).toEqual({ rows: [], next: null });
});

test('pages hold every block once, newest first, also when many are of the same millisecond', async () => {
  const rows = Array.from({ length: 25 }, (_, index) => blockRow({ createdAtMs: noonMs + (index % 3) }));
  await upsertBlocks(database.pool, rows);
  const newestFirst = rows
    .toSorted((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1))
    .map(({ id }) => id);
  const pages = await allPages({ limit: 10 });
  expect(pages.map(({ length }) => length)).toEqual([10, 10, 5]);
  expect(pages.flat()).toEqual(newestFirst);
});

test('tells rows apart that differ by a microsecond', async () => {
  await upsertBlocks(database.pool, [blockRow(), blockRow(), blockRow(), blockRow()]);
  await database.pool.query(`
    UPDATE rate_limits_v2 SET created_at = '2025-06-01 12:00:00.000001+00'::timestamptz + n * interval '1 microsecond'
    FROM (SELECT id, row_number() OVER () AS n FROM rate_limits_v2) AS numbered WHERE rate_limits_v2.id = numbered.id`);
  const pages = await allPages({ limit: 1 });
  expect(pages).toHaveLength(4);
  expect(new Set(pages.flat()).size).toBe(4);
});

test('a page that is exactly full is the last one when nothing follows', async () => {
  await upsertBlocks(database.pool, [blockRow(), blockRow()]);
  expect((await listBlocks(database.pool, { limit: 2 })).next).toBeNull();
});

test('blocks that arrive while paging shift nothing', async () => {
  const rows = [3, 2, 1].map((age) => blockRow({ createdAtMs: noonMs - age }));
  await upsertBlocks(database.pool, rows);
  const first = await listBlocks(database.pool, { limit: 2 });
  await upsertBlocks(database.pool, [blockRow({ createdAtMs: noonMs + 1 })]);
  const second = await listBlocks(database.pool, { limit: 2, after: first.next ?? '' });
  expect([...first.rows, ...second.rows].map(({ id }) => id)).toEqual(rows.toReversed().map(({ id }) => id));
});

describe('filters', () => {
  const inAnHourMs = Date.now() + 3_600_000;

  test.each<[string, ListBlocksOptions, string[]]>([
    ['by tier', { tier: 'auth' }, ['auth-expired', 'auth-active']],
    ['by identifier', { identifier: 'strict-active' }, ['strict-active']],
    ['by what is in force', { active: true }, ['strict-forever', 'strict-active', 'auth-active']],
    ['by what has expired', { active: false }, ['auth-expired']],
    ['by action', { action: 'nothing' }, []],
    ['by mode', { mode: 'shadow' }, []],
    ['by time', { sinceMs: 2, untilMs: 4 }, ['strict-active', 'auth-expired']],
    ['by several', { tier: 'auth', active: true }, ['auth-active']],
    ['by what nobody has', { tier: `x' OR true --` }, []],
  ])('%s', async (_, options, expected) => {
    await upsertBlocks(database.pool, [
      blockRow({ createdAtMs: 1, tier: 'auth', identifier: 'auth-active', blockedUntilMs: inAnHourMs }),
      blockRow({ createdAtMs: 2, tier: 'auth', identifier: 'auth-expired', blockedUntilMs: noonMs }),
      blockRow({ createdAtMs: 3, tier: 'strict', identifier: 'strict-active', blockedUntilMs: inAnHourMs }),
      blockRow({ createdAtMs: 4, tier: 'strict', identifier: 'strict-forever', blockedUntilMs: Infinity }),
    ]);
    const { rows } = await listBlocks(database.pool, options);
    expect(rows.map(({ identifier }) => identifier)).toEqual(expected);
  });
});

describe('refuses', () => {
  test.each(['', 'nonsense', Buffer.from('1.nope').toString('base64url'), '\0'])('the cursor %j', async (after) => {
    await expect(listBlocks(database.pool, { after })).rejects.toMatchObject({ code: 'invalid_cursor' });
  });

  test.each([0, -1, 1.5, 1_001, Number.NaN])('the limit %d', async (limit) => {
    await expect(listBlocks(database.pool, { limit })).rejects.toMatchObject({
      code: 'invalid_option',
      option: 'limit',
    });
  });
});
