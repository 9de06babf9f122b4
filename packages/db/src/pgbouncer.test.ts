import { type PgBouncer, startPgBouncer } from '@spillway/local-servers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { migrate } from './migrate/migrate.ts';
import { ensurePartitions } from './partitions/ensure-partitions.ts';
import { blockRow, useDatabase } from '../test/use-database.ts';
import { withConnection, createPool } from './connection.ts';
import { listBlocks, upsertBlocks } from './trail/event-rows.ts';

const database = useDatabase();
let pgbouncer: PgBouncer;

beforeEach(async () => {
  // Two connections for all, so that consecutive statements meet different ones.
  pgbouncer = await startPgBouncer({ databaseUrl: database.url, poolSize: 2 });
});

afterEach(async () => {
  await pgbouncer.stop();
});

test('queries of many connections share the few of PgBouncer in transaction mode', async () => {
  const pool = createPool({ connectionString: pgbouncer.url, onError: () => {}, server: 'pgbouncer', max: 20 });
  try {
    const batches = Array.from({ length: 40 }, () => [blockRow(), blockRow()]);
    const inserted = await Promise.all(batches.map(async (batch) => upsertBlocks(pool, batch)));
    expect(inserted.reduce((sum, n) => sum + n)).toBe(80);
    const pages = await Promise.all(Array.from({ length: 20 }, async () => listBlocks(pool, { limit: 80 })));
    expect(pages.map(({ rows }) => rows.length)).toEqual(Array.from({ length: 20 }, () => 80));
  } finally {
    await pool.end();
  }
});

test('partitions are made through PgBouncer too, by racing creators', async () => {
  const pool = createPool({ connectionString: pgbouncer.url, onError: () => {}, server: 'pgbouncer', max: 20 });
  const table = { schema: 'archive', name: 'generations' };
  const now = new Date('2031-12-05T00:00:00Z');
  try {
    const reports = await Promise.all(
      Array.from({ length: 6 }, async () =>
        withConnection(pool, async (connection) =>
          ensurePartitions(connection, { table, now, monthsAhead: 1, retryDelayMs: 20, attempts: 200 }),
        ),
      ),
    );
    expect(reports.flatMap(({ created }) => created).toSorted()).toEqual([
      'generations_2031_12',
      'generations_2032_01',
    ]);
  } finally {
    await pool.end();
  }
});

test('racing migrators apply everything once through PgBouncer in transaction mode', async () => {
  await database.pool.query('DROP SCHEMA spillway, public, archive CASCADE; CREATE SCHEMA public');
  const reports = await Promise.all(
    Array.from({ length: 4 }, async () => migrate({ connectionString: pgbouncer.url })),
  );
  expect(reports.filter(({ applied }) => applied.length > 0)).toHaveLength(1);
  const { rows } = await database.pool.query(
    `SELECT FROM pg_locks WHERE locktype = 'advisory'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  expect(rows).toEqual([]);
});
