import { archiveRows, type ArchiveTable, createPool, migrate, type Queryable, withConnection } from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';
import { type InsertTimes, whileInserting } from './cleanup.ts';

/** What moving one partition came to, and what others noticed of it. */
export interface PartitionArchivalResult {
  readonly rows: number;
  /** The whole run. */
  readonly tookMs: number;
  /** The transaction that counts, attaches and counts again: for so long the rows are in neither table. */
  readonly attachMs: number;
  /** Longest stretches in which the run held a lock that keeps readers or writers of the two tables waiting. */
  readonly heldMs: number;
  readonly busy: InsertTimes;
  readonly quiet: InsertTimes;
}

const table: ArchiveTable = {
  source: { schema: 'public', name: 'api_call_logs' },
  target: { schema: 'archive', name: 'api_call_logs' },
  retentionDays: 30,
};

/** Moves a month of calls as a partition, while four connections insert into the present one, on a Postgres that loses no commit. */
export async function partitionArchival(rows: number): Promise<PartitionArchivalResult> {
  const server = await startPostgres({ durable: true, args: ['-c', 'max_wal_size=8GB'] });
  const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 1_800_000 });
  try {
    await fill(pool, rows);
    await migrate({ connectionString: server.url });
    const [{ tookMs, heldMs, report }, busy] = await whileInserting(pool, INSERT, async () =>
      withConnection(pool, async (connection) => {
        const locks = watchLocks(pool, await backend(connection));
        const started = performance.now();
        const moved = await archiveRows(connection, table);
        return { tookMs: performance.now() - started, heldMs: await locks.stop(), report: moved };
      }),
    );
    if (report.moved !== rows || report.partitionsMoved.length !== 1) {
      throw new Error(`moved ${report.moved} of ${rows} rows: ${report.warnings.join('; ')}`);
    }
    const [, quiet] = await whileInserting(
      pool,
      INSERT,
      async () => new Promise((resolve) => setTimeout(resolve, tookMs)),
    );
    return { rows, tookMs, attachMs: report.longestBatchMs, heldMs, busy, quiet };
  } finally {
    await pool.end();
    await server.stop();
  }
}

const INSERT = `INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms) VALUES ('u', 'GET', '/', 200, 1)`;

/** The application's own table, by month; the oldest month has all the rows. */
async function fill(db: Queryable, rows: number): Promise<void> {
  await db.query(`
    CREATE TABLE api_call_logs (
      id uuid NOT NULL DEFAULT gen_random_uuid(), user_id text, method text NOT NULL, endpoint text NOT NULL, status_code int NOT NULL,
      duration_ms int NOT NULL, metadata jsonb NOT NULL DEFAULT '{}', created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
    CREATE INDEX ON api_call_logs (user_id, created_at);
    CREATE TABLE api_call_logs_old PARTITION OF api_call_logs
      FOR VALUES FROM (date_trunc('month', now() - interval '90 days', 'UTC')) TO (date_trunc('month', now() - interval '60 days', 'UTC'));
    CREATE TABLE api_call_logs_new PARTITION OF api_call_logs
      FOR VALUES FROM (date_trunc('month', now() - interval '60 days', 'UTC')) TO (date_trunc('month', now() + interval '35 days', 'UTC'))`);
  await db.query(
    `INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
     SELECT 'user-' || n % 1000, 'GET', '/v1/generate', 200, n % 500,
            date_trunc('month', now() - interval '90 days', 'UTC') + n * interval '27 days' / $1
     FROM generate_series(1, $1::int) AS n`,
    [rows],
  );
  await db.query('VACUUM ANALYZE api_call_logs');
}

async function backend(connection: Queryable): Promise<number | undefined> {
  const { rows } = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid;
}

/** Looks every few milliseconds whether the process holds a lock that conflicts with reading or inserting. */
function watchLocks(pool: Queryable, pid: number | undefined): { stop: () => Promise<number> } {
  const stop = new AbortController();
  const watching = (async () => {
    let since: number | undefined;
    let longest = 0;
    while (!stop.signal.aborted) {
      const before = performance.now();
      const { rows } = await pool.query<{ held: boolean }>(
        `SELECT EXISTS (SELECT FROM pg_locks WHERE pid = $1 AND granted
           AND relation IN ('public.api_call_logs'::regclass, 'archive.api_call_logs'::regclass, 'public.api_call_logs_new'::regclass)
           AND mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock')) AS held`,
        [pid],
      );
      if (rows[0]?.held === true) since ??= before;
      else since = undefined;
      if (since !== undefined) longest = Math.max(longest, performance.now() - since);
    }
    return longest;
  })();
  return {
    stop: async () => {
      stop.abort();
      return watching;
    },
  };
}
