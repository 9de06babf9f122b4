import { createPool, ensureMetricDays, migrate, rollUpMetrics, withConnection } from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';

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
export async function metricStats(rows: number): Promise<MetricStatsRun> {
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
