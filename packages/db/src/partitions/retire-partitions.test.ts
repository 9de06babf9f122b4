import { expect, test, beforeEach, describe } from 'vitest';
import { daysFrom, monthsFrom, listPartitions, monthsReady } from './partitioned-table.ts';
import type { Pool } from 'pg';
import { useDatabase } from '../../test/use-database.ts';
import { ensurePartitions } from './ensure-partitions.ts';
import { retirePartitions, type RetirePartitionsOptions, type RetirePartitionsReport } from './retire-partitions.ts';
import { withConnection, createPool } from '../connection.ts';

test('crosses from December to January', () => {
  expect(monthsFrom(new Date('2025-12-31T23:59:59.999Z'), 1)).toEqual([
    { suffix: '2025_12', from: '2025-12-01 00:00:00+00', to: '2026-01-01 00:00:00+00' },
    { suffix: '2026_01', from: '2026-01-01 00:00:00+00', to: '2026-02-01 00:00:00+00' },
  ]);
});

test('does not skip February when counted from the 31st of January', () => {
  expect(monthsFrom(new Date('2025-01-31T12:00:00Z'), 2).map(({ suffix }) => suffix)).toEqual([
    '2025_01',
    '2025_02',
    '2025_03',
  ]);
});

test('includes the 29th of February of a leap year', () => {
  const [february] = monthsFrom(new Date('2028-02-29T23:00:00Z'), 0);
  expect(february).toEqual({ suffix: '2028_02', from: '2028-02-01 00:00:00+00', to: '2028-03-01 00:00:00+00' });
});

test('goes by UTC, whatever the offset of the moment was written in', () => {
  expect(monthsFrom(new Date('2025-06-30T22:00:00-05:00'), 0)[0]?.suffix).toBe('2025_07');
});

test('gives the days before and after one, across months and years', () => {
  expect(daysFrom(new Date('2025-12-31T23:59:59.999Z'), 1, 1)).toEqual([
    { suffix: '2025_12_30', from: '2025-12-30 00:00:00+00', to: '2025-12-31 00:00:00+00' },
    { suffix: '2025_12_31', from: '2025-12-31 00:00:00+00', to: '2026-01-01 00:00:00+00' },
    { suffix: '2026_01_01', from: '2026-01-01 00:00:00+00', to: '2026-01-02 00:00:00+00' },
  ]);
});

const database = useDatabase('empty');
const table = { schema: 'cold', name: 'logs' };
const now = new Date('2026-02-15T00:00:00Z');

beforeEach(async () => {
  await database.pool.query(`
    CREATE SCHEMA cold;
    CREATE TABLE cold.logs (id int, created_at timestamptz NOT NULL) PARTITION BY RANGE (created_at)`);
  await withConnection(database.pool, async (connection) =>
    ensurePartitions(connection, { table, now: new Date('2025-11-01T00:00:00Z'), monthsAhead: 4 }),
  );
  await database.pool.query(`INSERT INTO cold.logs VALUES (1, '2025-11-30 23:59:59+00'), (2, '2025-12-01 00:00+00')`);
});

async function retire(
  options: Partial<RetirePartitionsOptions> = {},
  pool: Pool = database.pool,
): Promise<RetirePartitionsReport> {
  return withConnection(pool, async (connection) =>
    retirePartitions(connection, { table, now, keepMonths: 2, action: 'detach', ...options }),
  );
}

async function names(): Promise<string[]> {
  return withConnection(database.pool, async (connection) =>
    (await listPartitions(connection, table)).map(({ name }) => name),
  );
}

test('detaches the months before those to keep, and leaves their rows in a table of their own', async () => {
  expect(await retire()).toEqual({ table: 'cold.logs', detached: ['cold.logs_2025_11'], dropped: [] });
  expect(await names()).toEqual(['logs_2025_12', 'logs_2026_01', 'logs_2026_02', 'logs_2026_03']);
  expect((await database.pool.query('SELECT id FROM cold.logs_2025_11')).rows).toEqual([{ id: 1 }]);
  expect((await retire()).detached).toEqual([]);
});

test('drops them when told to', async () => {
  expect(await retire({ keepMonths: 1, action: 'drop' })).toMatchObject({
    dropped: ['cold.logs_2025_11', 'cold.logs_2025_12'],
  });
  expect((await database.pool.query(`SELECT to_regclass('cold.logs_2025_12') AS t`)).rows).toEqual([{ t: null }]);
});

test('only reports in a dry run', async () => {
  expect((await retire({ dryRun: true })).detached).toEqual(['cold.logs_2025_11']);
  expect(await names()).toHaveLength(5);
});

test('never retires a partition that reaches into a month to keep', async () => {
  await database.pool.query(
    `CREATE TABLE cold.ancient PARTITION OF cold.logs FOR VALUES FROM (MINVALUE) TO ('2025-11-01 00:00+00')`,
  );
  expect((await retire({ keepMonths: 3 })).detached).toEqual(['cold.ancient']);
});

test('inserts go on while a long-open SELECT holds it up, and the next run finishes what was cut off', async () => {
  const hasty = createPool({ connectionString: database.url, onError: () => {}, statementTimeoutMs: 300 });
  await withConnection(database.pool, async (reader) => {
    await reader.query('BEGIN');
    await reader.query('SELECT count(*) FROM cold.logs');
    const retiring = retire({}, hasty).catch((error: unknown) => error);
    const inserted = await database.pool.query(`INSERT INTO cold.logs VALUES (3, '2026-02-01 00:00+00')`);
    expect(inserted.rowCount).toBe(1);
    expect(await retiring).toMatchObject({ code: '57014' });
    await reader.query('COMMIT');
  });
  expect(await names()).toHaveLength(5);
  expect((await retire()).detached).toEqual(['cold.logs_2025_11']);
  expect(await names()).toHaveLength(4);
  await hasty.end();
});

describe('monthsReady', () => {
  test.each([
    ['2025-11-15T00:00:00Z', 4],
    ['2026-03-31T23:59:59Z', 0],
    ['2026-04-01T00:00:00Z', -1],
  ])('counts the months after %s: %i', async (moment, expected) => {
    const partitions = await withConnection(database.pool, async (connection) => listPartitions(connection, table));
    expect(monthsReady(partitions, Date.parse(moment))).toBe(expected);
  });

  test('stops at a hole, and counts a partition without end as ten years', async () => {
    await database.pool.query('DROP TABLE cold.logs_2026_01');
    const read = async (): Promise<number> =>
      monthsReady(
        await withConnection(database.pool, async (connection) => listPartitions(connection, table)),
        Date.parse('2025-11-15T00:00:00Z'),
      );
    expect(await read()).toBe(1);
    await database.pool.query(
      `CREATE TABLE cold.rest PARTITION OF cold.logs FOR VALUES FROM ('2026-04-01 00:00+00') TO (MAXVALUE);
       CREATE TABLE cold.january PARTITION OF cold.logs FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00')`,
    );
    expect(await read()).toBe(120);
  });
});

test('refuses a bad action', async () => {
  // @ts-expect-error neither of the two
  await expect(retire({ action: 'burn' })).rejects.toMatchObject({ code: 'invalid_option', option: 'action' });
});

test('names the DEFAULT partition that keeps months from being detached, and detaches none', async () => {
  await database.pool.query('CREATE TABLE cold.logs_rest PARTITION OF cold.logs DEFAULT');
  const keeping = { action: 'detach', keepMonths: 0, now: new Date('2027-01-01T00:00:00Z') } as const;
  await expect(retire(keeping)).rejects.toMatchObject({
    code: 'partition_error',
    reason: 'default_partition',
    message: expect.stringContaining('the DEFAULT partition cold.logs_rest') as string,
  });
  await database.pool.query('ALTER TABLE cold.logs DETACH PARTITION cold.logs_rest');
  expect((await retire(keeping)).detached.length).toBeGreaterThan(0);
});
