import { createPool, ensureMetricDays, migrate, rollUpMetrics, withConnection } from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';
import type { Findings, Goal, Section, Table } from '../section.ts';
import { archival, type ArchivalResult, partitionArchival, type PartitionArchivalResult } from './archival.ts';
import { cleanup, type CleanupResult } from './cleanup.ts';

const DEFAULT_BATCH = 20_000;

/** Archival, cleanup under writes and the statistics of a metric, on one local Postgres each. */
export const maintenanceSection: Section = {
  name: 'maintenance',
  title: 'Maintenance',
  async measure(effort): Promise<Findings> {
    const moved = await archival(effort.amount(500_000));
    const whole = await partitionArchival(effort.amount(5_000_000));
    const cleaned = await cleanup(effort.amount(300_000));
    const stats = await metricStats(effort.amount(10_000_000));
    return {
      goals: goals(moved, whole, cleaned, stats),
      tables: [archivalTable(moved), partitionTable(whole), cleanupTable(cleaned), statsTable(stats)],
    };
  },
};

function goals(
  moved: readonly ArchivalResult[],
  whole: PartitionArchivalResult,
  cleaned: CleanupResult,
  { results }: MetricStatsRun,
): readonly Goal[] {
  const speed = (size: number | undefined): number =>
    moved.find(({ batchSize }) => batchSize === size)?.rowsPerSecond ?? Number.NaN;
  const rowsPerSecond = speed(DEFAULT_BATCH);
  const slowest = Math.max(...results.filter(({ what }) => what === 'rollups').map(({ medianMs }) => medianMs));
  return [
    { name: 'archival, rows', measured: rowsPerSecond, bound: 100_000, better: 'more', unit: '/s' },
    {
      name: 'archival, against a bare INSERT … SELECT and DELETE in one transaction',
      measured: (100 * rowsPerSecond) / speed(undefined),
      bound: 60,
      better: 'more',
      unit: '%',
      noise: 0.2,
    },
    {
      name: 'archival of a month of 5 million rows as a partition, longest hold of a lock that others wait for',
      measured: whole.heldMs,
      bound: 1_000,
      better: 'less',
      unit: 'ms',
    },
    {
      name: 'cleanup, longest hold of a lock',
      measured: cleaned.longestBatchMs,
      bound: 100,
      better: 'less',
      unit: 'ms',
    },
    {
      name: 'get_metric_stats, 10 million samples, slowest window',
      measured: slowest,
      bound: 20,
      better: 'less',
      unit: 'ms',
    },
  ];
}

function archivalTable(results: readonly ArchivalResult[]): Table {
  return {
    title: 'Archival',
    intro: `Half a million rows of \`api_call_logs\` move into their monthly partitions: pick, delete and store in one statement a batch,
fsync on, one connection. At most 20,000 a batch is the default; a run begins with 5,000 and doubles while a batch takes less than 250 ms. The bare way stores and deletes all rows in one transaction: the least that Postgres has
to do, and nothing that one could run beside writers.`,
    columns: [
      { heading: 'rows a batch', digits: 0 },
      { heading: 'rows', digits: 0 },
      { heading: 'rows/s', digits: 0 },
      { heading: 'rows a second of CPU', digits: 0 },
      { heading: 'longest batch ms', digits: 0 },
    ],
    rows: results.map((each) => [
      each.batchSize ?? 'bare, all at once',
      each.rows,
      each.rowsPerSecond,
      each.rowsPerCpuSecond ?? 'unknown',
      each.longestBatchMs,
    ]),
    notes:
      'CPU is that of the one server process that does it: where others want the cores too, it is the steadier figure.',
  };
}

function partitionTable({ rows, tookMs, attachMs, heldMs, busy, quiet }: PartitionArchivalResult): Table {
  return {
    title: 'Archival of a whole partition',
    intro: `A month of ${rows.toLocaleString('en')} calls leaves an application's partitioned \`api_call_logs\` and becomes a partition of the archive, while four
connections insert into the present one, fsync on: ${Math.round(tookMs).toLocaleString('en')} ms, of which ${attachMs.toLocaleString('en')} ms for counting twice, making the
archive's index and attaching. The longest that a lock was held which readers or writers of either table wait for: ${Math.round(heldMs)} ms.`,
    columns: [
      { heading: 'single inserts' },
      { heading: 'inserts', digits: 0 },
      { heading: 'p50 ms', digits: 2 },
      { heading: 'p99 ms', digits: 1 },
      { heading: 'max ms', digits: 1 },
    ],
    rows: [
      ['while the partition moves', busy.inserts, busy.p50Ms, busy.p99Ms, busy.maxMs],
      ['for as long, without', quiet.inserts, quiet.p50Ms, quiet.p99Ms, quiet.maxMs],
    ],
  };
}

function cleanupTable(cleaned: CleanupResult): Table {
  const { rows, rowsPerSecond, bareRowsPerSecond, batches, longestBatchMs, busy, quiet } = cleaned;
  return {
    title: 'Cleanup while others insert',
    intro: `${rows.toLocaleString('en')} old samples of a table that is not partitioned are deleted while four connections record new ones without a pause, fsync
on: ${Math.round(rowsPerSecond).toLocaleString('en')} rows/s in ${batches} batches.
One bare DELETE of as many, with nobody beside it: ${Math.round(bareRowsPerSecond).toLocaleString('en')} rows/s. The longest transaction, with its commit, took ${longestBatchMs} ms.`,
    columns: [
      { heading: 'single inserts' },
      { heading: 'inserts', digits: 0 },
      { heading: 'p50 ms', digits: 2 },
      { heading: 'p99 ms', digits: 1 },
      { heading: 'max ms', digits: 1 },
    ],
    rows: [
      ['while rows are deleted', busy.inserts, busy.p50Ms, busy.p99Ms, busy.maxMs],
      ['for as long, without', quiet.inserts, quiet.p50Ms, quiet.p99Ms, quiet.maxMs],
    ],
  };
}

function statsTable({ results, planBefore, planAfter }: MetricStatsRun): Table {
  return {
    title: 'Statistics of a metric',
    intro: '`get_metric_stats()` with ten million samples of one metric, nine of them in the last 24 hours.',
    columns: [
      { heading: 'read from' },
      { heading: 'hours', digits: 0 },
      { heading: 'samples in the window', digits: 0 },
      { heading: 'median ms', digits: 1 },
    ],
    rows: results.map(({ what, hours, samplesInWindow, medianMs }) => [what, hours, samplesInWindow, medianMs]),
    notes: `Counting the samples, without rollups:

\`\`\`
${planBefore}
\`\`\`

The function, with them:

\`\`\`
${planAfter}
\`\`\``,
  };
}

/** How long statistics of one metric take. */
export interface MetricStatsResult {
  readonly what: string;
  readonly hours: number;
  readonly samplesInWindow: number;
  readonly medianMs: number;
}

/** What was measured, with plans to look at. */
export interface MetricStatsRun {
  readonly results: readonly MetricStatsResult[];
  /** EXPLAIN (ANALYZE) of the same statistics read from the samples. */
  readonly planBefore: string;
  /** EXPLAIN (ANALYZE) of the function. */
  readonly planAfter: string;
}

/** Ten million samples: nine of one metric within 24 hours, and one of it over the 29 days before. */
async function metricStats(rows: number): Promise<MetricStatsRun> {
  const server = await startPostgres({ args: ['-c', 'max_wal_size=8GB', '-c', 'shared_buffers=512MB'] });
  const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 1_800_000 });
  try {
    await migrate({ connectionString: server.url });
    await withConnection(pool, async (connection) => ensureMetricDays(connection, { daysBehind: 31 }));
    await pool.query(
      `INSERT INTO system_metrics (metric_name, metric_value, recorded_at)
       SELECT 'latency', round((exp(random() * ln(1000)))::numeric, 2),
              now() - CASE WHEN n % 10 = 0 THEN interval '24 hours' + n * interval '29 days' / $1 ELSE n * interval '24 hours' / $1 END
       FROM generate_series(1, $1) AS n`,
      [rows],
    );
    await pool.query('VACUUM ANALYZE system_metrics');
    const results: MetricStatsResult[] = [];
    const measure = async (what: string, hours: number, rounds: number): Promise<void> => {
      const times: number[] = [];
      let samplesInWindow = 0;
      for (let round = 0; round < rounds; round += 1) {
        const started = performance.now();
        const { rows: found } = await pool.query<{ n: number }>(
          `SELECT count::float8 AS n FROM get_metric_stats('latency', $1)`,
          [hours],
        );
        times.push(performance.now() - started);
        samplesInWindow = found[0]?.n ?? 0;
      }
      times.sort((a, b) => a - b);
      results.push({ what, hours, samplesInWindow, medianMs: times[Math.floor(rounds / 2)] ?? Number.NaN });
    };
    await measure('samples', 24, 1);
    const planBefore = await explain(
      `SELECT min(metric_value), max(metric_value), avg(metric_value), count(*),
              percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY metric_value::float8)
       FROM system_metrics WHERE metric_name = 'latency' AND recorded_at > now() - interval '24 hours'`,
    );
    await rollUpMetrics(pool, Number.POSITIVE_INFINITY);
    await pool.query('VACUUM ANALYZE spillway.system_metric_rollups');
    for (const hours of [1, 24, 720]) await measure('rollups', hours, 21);
    const planAfter = await explain(`SELECT * FROM get_metric_stats('latency')`);
    return { results, planBefore, planAfter };

    async function explain(sql: string): Promise<string> {
      const { rows: lines } = await pool.query<Record<string, string>>(`EXPLAIN (ANALYZE, BUFFERS) ${sql}`);
      return lines.map((line) => line['QUERY PLAN']).join('\n');
    }
  } finally {
    await pool.end();
    await server.stop();
  }
}
