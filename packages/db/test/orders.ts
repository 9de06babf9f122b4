import { archiveRows, type ArchiveRowsOptions, type ArchiveRowsReport } from '../src/archive/archive-rows.ts';
import type { ArchiveTable } from '../src/archive/archive-table.ts';
import { withConnection } from '../src/connection.ts';
import type { TestDatabase } from './use-database.ts';

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

/** How the live table is made. */
export interface PartitionedOrders {
  /** Type of the column `at`. @default 'timestamptz' */
  readonly type?: string | undefined;
  /** How long a partition is, as `date_trunc` spells it. @default 'month' */
  readonly unit?: string | undefined;
  /** Columns besides. @default none */
  readonly columns?: string;
  /** The table's name; its partitions are named `p_…` if it is another. @default 'orders' */
  readonly name?: string;
}

/** What a test does with a table {@link orders} that is partitioned by time, and its archive. */
export function partitionedOrders(database: TestDatabase) {
  const run = async (sql: string): Promise<void> => void (await database.pool.query(sql));

  /** An order each hour of September to December 2025 (UTC). The archive has no partition yet. */
  async function createOrders(made: PartitionedOrders = {}): Promise<void> {
    const { type = 'timestamptz', unit = 'month', columns, name = 'orders' } = made;
    const prefix = name === 'orders' ? name : 'p';
    const format = { month: 'YYYY_MM', year: 'YYYY' }[unit] ?? 'YYYY_MM_DD';
    await run(`
      CREATE TABLE "${name}" (id int, at ${type}, status text NOT NULL DEFAULT 'paid'${columns === undefined ? '' : `, ${columns}`}
        ${type === 'date' ? '' : ', PRIMARY KEY (id, at)'}) PARTITION BY RANGE (at);
      SET timezone = 'UTC';
      DO $$ DECLARE first timestamp; BEGIN
        FOR first IN SELECT DISTINCT date_trunc('${unit}', day) FROM generate_series(timestamp '2025-09-01', '2025-12-31', '1 day') AS day LOOP
          EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', '${prefix}_' || to_char(first, '${format}'),
            '${name}', first::${type}, (first + interval '${unit === 'quarter' ? '3 months' : `1 ${unit}`}')::${type});
        END LOOP;
      END $$;
      INSERT INTO "${name}" (id, at) SELECT n, timestamp '2025-09-01' + n * interval '1 hour' FROM generate_series(0, 122 * 24 - 1) AS n;
      CREATE SCHEMA cold;
      CREATE TABLE cold.orders (LIKE "${name}", archived_at timestamptz NOT NULL DEFAULT now()) PARTITION BY RANGE (at);
      RESET timezone`);
  }

  async function archive(
    options: ArchiveRowsOptions = {},
    table: Partial<ArchiveTable> = {},
    role?: string,
  ): Promise<ArchiveRowsReport> {
    return withConnection(database.pool, async (connection) => {
      if (role !== undefined) await connection.query(`SET ROLE ${role}`);
      try {
        return await archiveRows(connection, { ...orders, ...table }, { cutoff, ...options });
      } finally {
        if (role !== undefined) await connection.query('RESET ROLE');
      }
    });
  }

  async function query<Row extends object>(sql: string): Promise<Row[]> {
    return (await database.pool.query<Row>(sql)).rows;
  }

  /** A sum over all that is in the two tables together, how many rows it has, and how many are in both. */
  async function census() {
    const [row] = await query<{ everything: string; ids: number; both: number }>(`
      WITH everything AS (
        SELECT id, at::text AS at, status FROM orders UNION ALL SELECT id, at::text, status FROM cold.orders)
      SELECT sum(hashtextextended(everything::text, 0))::text AS everything, count(DISTINCT id)::int AS ids,
             (SELECT count(*)::int FROM orders JOIN cold.orders USING (id)) AS both
      FROM everything`);
    return row;
  }

  /** Partitions of a table, `schema.name`, in order of their names. */
  async function partitionsOf(table: string): Promise<string[]> {
    const rows = await query<{ name: string }>(`
      SELECT format('%s.%s', n.nspname, c.relname) AS name
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE i.inhparent = '${table}'::regclass ORDER BY c.relname`);
    return rows.map(({ name }) => name);
  }

  return { archive, census, createOrders, partitionsOf, query, run };
}
