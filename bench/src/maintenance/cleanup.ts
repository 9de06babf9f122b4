import { cleanUpRows, createPool, migrate, type Queryable, withConnection } from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';
import { quantile } from '../section.ts';

/** What cleaning came to, and what writers noticed of it. */
export interface CleanupResult {
  readonly rows: number;
  readonly rowsPerSecond: number;
  /** The same rows by a single DELETE, with no other statements running. */
  readonly bareRowsPerSecond: number;
  readonly batches: number;
  /** The longest that locks were held: a whole transaction, with its commit. */
  readonly longestBatchMs: number;
  /** Inserts while rows were deleted, and as many seconds without. */
  readonly busy: InsertTimes;
  readonly quiet: InsertTimes;
}

/** How long single inserts took, in ms. */
export interface InsertTimes {
  readonly inserts: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What these do. */
const INSERT = `INSERT INTO samples (metric_name, metric_value) VALUES ('m', 1)`;

/** Connections that insert all the time. */
const WRITERS = 4;

/** Deletes old samples while others record new ones, on a Postgres that loses no commit. */
export async function cleanup(rows: number): Promise<CleanupResult> {
  const server = await startPostgres({ durable: true });
  const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 600_000 });
  try {
    await migrate({ connectionString: server.url });
    // As samples were before they were by day: rows to delete one by one, from under those who insert.
    await pool.query('CREATE TABLE samples (LIKE system_metrics INCLUDING ALL)');
    const rule = { table: { schema: 'public', name: 'samples' }, timestampColumn: 'recorded_at', retentionDays: 30 };
    await fill(pool, rows);
    const started = performance.now();
    const [report, busy] = await whileInserting(pool, INSERT, async () =>
      withConnection(pool, async (connection) => cleanUpRows(connection, rule)),
    );
    const tookMs = performance.now() - started;
    if (report.deleted !== rows) throw new Error(`deleted ${report.deleted} of ${rows} rows`);
    const [, quiet] = await whileInserting(
      pool,
      INSERT,
      async () => new Promise((resolve) => setTimeout(resolve, tookMs)),
    );
    const { batches, longestBatchMs } = report;
    const bareRowsPerSecond = await deleteBare(pool, rows);
    return { rows, rowsPerSecond: rows / (tookMs / 1_000), bareRowsPerSecond, batches, longestBatchMs, busy, quiet };
  } finally {
    await pool.end();
    await server.stop();
  }
}

async function fill(db: Queryable, rows: number): Promise<void> {
  await db.query(
    `INSERT INTO samples (metric_name, metric_value, recorded_at)
     SELECT 'm', n, now() - interval '31 days' - n * interval '1 second' FROM generate_series(1, $1) AS n`,
    [rows],
  );
  await db.query('VACUUM ANALYZE samples');
}

async function deleteBare(db: Queryable, rows: number): Promise<number> {
  await fill(db, rows);
  const started = performance.now();
  await db.query(`DELETE FROM samples WHERE recorded_at < now() - interval '30 days'`);
  return rows / ((performance.now() - started) / 1_000);
}

/** Runs `work` while four connections execute `insert` without a pause. */
export async function whileInserting<T>(
  pool: Queryable,
  insert: string,
  work: () => Promise<T>,
): Promise<[T, InsertTimes]> {
  const times: number[] = [];
  const stop = new AbortController();
  const writers = Array.from({ length: WRITERS }, async () => {
    while (!stop.signal.aborted) {
      const started = performance.now();
      await pool.query(insert);
      times.push(performance.now() - started);
    }
  });
  const result = await work();
  stop.abort();
  await Promise.all(writers);
  times.sort((a, b) => a - b);
  const maxMs = times.at(-1) ?? Number.NaN;
  return [result, { inserts: times.length, p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99), maxMs }];
}
