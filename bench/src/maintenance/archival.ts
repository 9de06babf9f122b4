import {
  archiveRows,
  type ArchiveRowsReport,
  builtInArchives,
  createPool,
  migrate,
  type Queryable,
  withConnection,
} from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';
import { serverCpu } from './server-cpu.ts';

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

/** What Postgres does at least: it stores all rows and deletes them, with nothing checked and nobody let in between. */
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
