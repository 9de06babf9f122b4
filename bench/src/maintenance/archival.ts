import { readFileSync } from 'node:fs';
import {
  archiveRows,
  type ArchiveRowsReport,
  type ArchiveTable,
  builtInArchives,
  createPool,
  migrate,
  type Queryable,
  withConnection,
} from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';
import { type InsertTimes, whileInserting } from './cleanup.ts';

/** What moving one table came to. */
export interface ArchivalResult {
  /** Rows a batch; undefined for a bare move of all rows in one transaction. */
  readonly batchSize: number | undefined;
  readonly rows: number;
  readonly rowsPerSecond: number;
  /** By the CPU of the server's process, whatever else the machine does; undefined where that can't be read. */
  readonly rowsPerCpuSecond: number | undefined;
  readonly longestBatchMs: number;
}

/** Moves half a million calls of 2 months for each batch size, one connection, on a Postgres that loses no commit; then bare. */
export async function archival(rows: number): Promise<ArchivalResult[]> {
  const server = await startPostgres({ durable: true });
  const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 600_000 });
  try {
    await migrate({ connectionString: server.url });
    const [table] = builtInArchives;
    if (table === undefined) throw new Error('there is no built-in archive');
    const results: ArchivalResult[] = [];
    // The bare move comes last: it needs the partitions that the others made.
    for (const batchSize of [1_000, 5_000, 20_000, undefined]) {
      await fill(pool, rows);
      const move =
        batchSize === undefined
          ? moveBare
          : async (connection: Connection) => archiveRows(connection, { ...table, batchSize });
      results.push({ batchSize, ...(await withConnection(pool, async (connection) => timed(connection, rows, move))) });
    }
    return results;
  } finally {
    await pool.end();
    await server.stop();
  }
}

async function fill(db: Queryable, rows: number): Promise<void> {
  await db.query('TRUNCATE api_call_logs, archive.api_call_logs');
  await db.query(
    `INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
     SELECT 'user-' || n % 1000, 'GET', '/v1/generate', 200, n % 500, now() - interval '31 days' - n * interval '8 seconds'
     FROM generate_series(1, $1) AS n`,
    [rows],
  );
  await db.query('VACUUM ANALYZE api_call_logs');
}

type Connection = Parameters<typeof archiveRows>[0];
type Moved = Pick<ArchiveRowsReport, 'moved' | 'longestBatchMs'>;

/** What Postgres does at least: it stores all rows and deletes them in one transaction, without checks and without pauses for other statements. */
async function moveBare(db: Connection): Promise<Moved> {
  const started = performance.now();
  await db.query('BEGIN');
  const { rowCount } = await db.query('INSERT INTO archive.api_call_logs SELECT *, now() FROM api_call_logs');
  await db.query('DELETE FROM api_call_logs');
  await db.query('COMMIT');
  return { moved: rowCount ?? 0, longestBatchMs: Math.round(performance.now() - started) };
}

async function timed(
  connection: Connection,
  rows: number,
  move: (connection: Connection) => Promise<Moved>,
): Promise<Omit<ArchivalResult, 'batchSize'>> {
  const cpu = await serverCpu(connection);
  const cpuBefore = cpu() ?? Number.NaN;
  const started = performance.now();
  const { moved, longestBatchMs } = await move(connection);
  const seconds = (performance.now() - started) / 1_000;
  if (moved !== rows) throw new Error(`moved ${moved} of ${rows} rows`);
  const cpuSeconds = (cpu() ?? Number.NaN) - cpuBefore;
  const rowsPerCpuSecond = Number.isNaN(cpuSeconds) ? undefined : rows / cpuSeconds;
  return { rows, rowsPerSecond: rows / seconds, rowsPerCpuSecond, longestBatchMs };
}

/** Clock ticks a second, as Linux tells times to programs; the same on every machine that Node runs on. */
const TICKS = 100;

/**
 * Makes a meter of the CPU that the connection's server process has used, in seconds. It reads Linux' /proc, so it gives
 * undefined elsewhere, and where the server is in a container or on another machine.
 */
async function serverCpu(connection: Queryable): Promise<() => number | undefined> {
  const { rows } = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const file = `/proc/${rows[0]?.pid}/stat`;
  return () => {
    try {
      // The program's name, in brackets, may hold blanks: fields are counted from behind it.
      const fields = readFileSync(file, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / TICKS;
    } catch {
      return undefined;
    }
  };
}

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

const ownTable: ArchiveTable = {
  source: { schema: 'public', name: 'api_call_logs' },
  target: { schema: 'archive', name: 'api_call_logs' },
  retentionDays: 30,
};

/** Moves a month of calls as a partition, while four connections insert into the present one, on a Postgres that loses no commit. */
export async function partitionArchival(rows: number): Promise<PartitionArchivalResult> {
  const server = await startPostgres({ durable: true, args: ['-c', 'max_wal_size=8GB'] });
  const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 1_800_000 });
  try {
    await fillPartition(pool, rows);
    await migrate({ connectionString: server.url });
    const [{ tookMs, heldMs, report }, busy] = await whileInserting(pool, INSERT_CALL, async () =>
      withConnection(pool, async (connection) => {
        const locks = watchLocks(pool, await backend(connection));
        const started = performance.now();
        const moved = await archiveRows(connection, ownTable);
        return { tookMs: performance.now() - started, heldMs: await locks.stop(), report: moved };
      }),
    );
    if (report.moved !== rows || report.partitionsMoved.length !== 1) {
      throw new Error(`moved ${report.moved} of ${rows} rows: ${report.warnings.join('; ')}`);
    }
    const [, quiet] = await whileInserting(
      pool,
      INSERT_CALL,
      async () => new Promise((resolve) => setTimeout(resolve, tookMs)),
    );
    return { rows, tookMs, attachMs: report.longestBatchMs, heldMs, busy, quiet };
  } finally {
    await pool.end();
    await server.stop();
  }
}

const INSERT_CALL = `INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms) VALUES ('u', 'GET', '/', 200, 1)`;

/** The application's own table, by month; the oldest month has all the rows. */
async function fillPartition(db: Queryable, rows: number): Promise<void> {
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
