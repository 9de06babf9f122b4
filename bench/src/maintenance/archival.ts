import { archiveRows, builtInArchives, createPool, migrate, withConnection } from '@spillway/db';
import { startPostgres } from '@spillway/embedded';
import { serverCpu } from './server-cpu.ts';

/** What moving one table came to. */
export interface ArchivalResult {
  readonly batchSize: number;
  readonly rows: number;
  readonly rowsPerSecond: number;
  /** By the CPU of the server's process, whatever else the machine does; undefined where that can't be read. */
  readonly rowsPerCpuSecond: number | undefined;
  readonly longestBatchMs: number;
}

/** Moves a million calls of 3 months for each batch size, one connection, on a Postgres that loses no commit. */
export async function archival(rows = 1_000_000): Promise<ArchivalResult[]> {
  const server = await startPostgres({ durable: true });
  const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 600_000 });
  try {
    await migrate({ connectionString: server.url });
    const [table] = builtInArchives;
    if (table === undefined) throw new Error('there is no built-in archive');
    const results: ArchivalResult[] = [];
    for (const batchSize of [1_000, 5_000, 20_000]) {
      await pool.query('TRUNCATE api_call_logs, archive.api_call_logs');
      await pool.query(
        `INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
         SELECT 'user-' || n % 1000, 'GET', '/v1/generate', 200, n % 500, now() - interval '31 days' - n * interval '8 seconds'
         FROM generate_series(1, $1) AS n`,
        [rows],
      );
      await pool.query('VACUUM ANALYZE api_call_logs');
      results.push(
        await withConnection(pool, async (connection) => {
          const cpu = await serverCpu(connection);
          const cpuBefore = cpu() ?? Number.NaN;
          const started = performance.now();
          const { moved, longestBatchMs } = await archiveRows(connection, { ...table, batchSize });
          const seconds = (performance.now() - started) / 1_000;
          if (moved !== rows) throw new Error(`moved ${moved} of ${rows} rows`);
          const cpuSeconds = (cpu() ?? Number.NaN) - cpuBefore;
          const rowsPerCpuSecond = Number.isNaN(cpuSeconds) ? undefined : rows / cpuSeconds;
          return { batchSize, rows, rowsPerSecond: rows / seconds, rowsPerCpuSecond, longestBatchMs };
        }),
      );
    }
    return results;
  } finally {
    await pool.end();
    await server.stop();
  }
}
