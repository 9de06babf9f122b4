import { archiveRows, type ArchiveRowsOptions, type ArchiveRowsReport } from '../src/archive/archive-rows.ts';
import type { ArchiveTable } from '../src/archive/archive-table.ts';
import type { TestDatabase } from './use-database.ts';
import { withConnection } from '../src/connection.ts';

/** Rows from before it go into the archive. */
export const cutoff = new Date('2025-12-10T00:00:00Z');

/** A table and its archive, as `archiveRows` wants them described. */
export const orders: ArchiveTable = {
  source: { schema: 'public', name: 'orders' },
  target: { schema: 'cold', name: 'orders' },
  timestampColumn: 'at',
  retentionDays: 30,
  batchSize: 100,
};

/** What a test of the archive does with {@link orders}. */
export function ordersToArchive(database: TestDatabase) {
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

  return { archive, census, createOrders, query };
}
