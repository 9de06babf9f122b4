import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import {
  blockedActions,
  blocksOverview,
  breakerOverview,
  countBlocksRunning,
  createPool,
  decisionRates,
  decisionSeries,
  ensureMetricDays,
  jobOverview,
  latestMetrics,
  listAlerts,
  listBlocks,
  listGaps,
  listMetrics,
  metricSeries,
  metricStats,
  migrate,
  type Queryable,
  readBehindMs,
  readCapacity,
  readTrailHealth,
  topUsers,
  withConnection,
} from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';

// What each query of the dashboard costs over large tables: pnpm bench:explain --blocks 10000000 --samples 100000000
const { values } = parseArgs({
  options: {
    blocks: { type: 'string', default: '10000000' },
    samples: { type: 'string', default: '100000000' },
    out: { type: 'string', default: 'bench/results/explain.json' },
  },
});
const HOUR = 3_600_000;
const TRAIL = ['audit_flush_lag_ms', 'audit_event_lag_p50_ms', 'audit_event_lag_p99_ms', 'audit_outbox_events'];
TRAIL.push('audit_queue_jobs', 'audit_dropped_total', 'audit_dead_letters', 'audit_missing_events', 'never_recorded');

type Query = (db: Queryable) => Promise<unknown>;

/** What a snapshot of a page asks for at each reading; and what it keeps, for a sixtieth of a step up to a minute. */
const read = (rangeMs: number): readonly Query[] => [
  decisionRates,
  countBlocksRunning,
  async (db) => blocksOverview(db, rangeMs, 20),
  async (db) => breakerOverview(db, rangeMs),
  async (db) => latestMetrics(db, TRAIL),
  async (db) => listGaps(db, { resolved: false, limit: 20 }),
  jobOverview,
  readCapacity,
  async (db) => listAlerts(db, { open: true }),
  readBehindMs,
];
const kept = (rangeMs: number, stepMs: number): readonly Query[] => [
  async (db) => decisionSeries(db, rangeMs, stepMs),
  async (db) => metricSeries(db, 'audit_event_lag_p99_ms', rangeMs, stepMs),
  async (db) => topUsers(db, rangeMs, 20),
  async (db) => blockedActions(db, rangeMs),
];
const inTurn =
  (parts: readonly Query[]): Query =>
  async (db) => {
    for (const part of parts) await part(db);
  };

const queries: Readonly<Record<string, (db: Queryable) => Promise<unknown>>> = {
  'decision rates': decisionRates,
  'decisions, 15 minutes': async (db) => decisionSeries(db, HOUR / 4, 60_000),
  'decisions, 24 hours': async (db) => decisionSeries(db, 24 * HOUR, HOUR / 3),
  'decisions, 7 days': async (db) => decisionSeries(db, 168 * HOUR, 2 * HOUR),
  'blocks running': countBlocksRunning,
  'blocked subjects, 15 minutes': async (db) => blocksOverview(db, HOUR / 4, 20),
  'blocked subjects, 7 days': async (db) => blocksOverview(db, 168 * HOUR, 20),
  'blocked subjects of a tier, 7 days': async (db) => blocksOverview(db, 168 * HOUR, 20, { tier: 'auth' }),
  'blocked tiers and actions, 7 days': async (db) => blockedActions(db, 168 * HOUR),
  'top users, 7 days': async (db) => topUsers(db, 168 * HOUR, 20),
  'breakers, 15 minutes': async (db) => breakerOverview(db, HOUR / 4),
  'breakers, 7 days': async (db) => breakerOverview(db, 168 * HOUR),
  'trail, last samples': async (db) => latestMetrics(db, TRAIL),
  'lag, 15 minutes': async (db) => metricSeries(db, 'audit_event_lag_p99_ms', HOUR / 4, 60_000),
  'lag, 7 days': async (db) => metricSeries(db, 'audit_event_lag_p99_ms', 168 * HOUR, 2 * HOUR),
  jobs: jobOverview,
  capacity: readCapacity,
  'a snapshot, 15 minutes': inTurn(read(HOUR / 4)),
  'a snapshot, 24 hours': inTurn(read(24 * HOUR)),
  'a snapshot, 7 days': inTurn(read(168 * HOUR)),
  'what it keeps, 15 minutes': inTurn(kept(HOUR / 4, 60_000)),
  'what it keeps, 24 hours': inTurn(kept(24 * HOUR, HOUR / 3)),
  'what it keeps, 7 days': inTurn(kept(168 * HOUR, 2 * HOUR)),
  alerts: async (db) => listAlerts(db, { open: true }),
  'vitals (worker)': readTrailHealth,
  'list: newest blocks': async (db) => listBlocks(db),
  'list: blocks of an identifier': async (db) => listBlocks(db, { identifier: 'user-4815' }),
  'list: newest samples': async (db) => listMetrics(db),
  'list: samples of a metric': async (db) => listMetrics(db, { metricName: 'app.latency_7' }),
  'get_metric_stats, 24 hours, not rolled up': async (db) => metricStats(db, 'audit_event_lag_p99_ms', 24),
};

/** Time and pages of one run, by Postgres' own account; the fastest of five. */
async function measure(
  pool: ReturnType<typeof createPool>,
  run: (db: Queryable) => Promise<unknown>,
): Promise<{ ms: number; planMs: number; buffers: number }> {
  const statements: [string, unknown[]][] = [];
  const recording: Queryable = {
    query: async (...call: Parameters<Queryable['query']>) => {
      const [text, params] = call;
      statements.push(statementOf(text, params));
      return pool.query(...call);
    },
  };
  await run(recording);
  let best = { ms: Infinity, planMs: 0, buffers: 0 };
  for (let round = 0; round < 5; round += 1) {
    let [ms, planMs, buffers] = [0, 0, 0];
    for (const [text, params] of statements) {
      const { rows } = await pool.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, params);
      const [plan] = rows[0]['QUERY PLAN'];
      ms += plan['Execution Time'];
      planMs += plan['Planning Time'];
      buffers += plan['Plan']['Shared Hit Blocks'] + plan['Plan']['Shared Read Blocks'];
    }
    if (ms + planMs < best.ms + best.planMs) best = { ms, planMs, buffers };
  }
  return best;
}

/** pg takes a text, or an object with one. */
function statementOf(query: unknown, params: unknown): [string, unknown[]] {
  if (typeof query !== 'object' || query === null) return [String(query), listOf(params)];
  return [String(Reflect.get(query, 'text')), listOf(Reflect.get(query, 'values') ?? params)];
}

function listOf(own: unknown): unknown[] {
  return Array.isArray(own) ? own : [];
}

/** How many rows of each kind. */
interface Amounts {
  readonly blocks: number;
  readonly samples: number;
  readonly breakerEvents: number;
}

/** Days of samples. */
const DAYS = 30;

/**
 * Blocks of a week by 200,000 subjects, of one to fifteen minutes each; transitions and failures of 200 breakers over a month; a
 * month of samples, of which a worker's own are every ten seconds and the rest is of forty metrics of an application; a month
 * of decisions by the minute, of four policies and three outcomes; and a week of logged calls.
 */
async function fill(pool: ReturnType<typeof createPool>, { blocks, samples, breakerEvents }: Amounts): Promise<void> {
  await withConnection(pool, async (connection) => ensureMetricDays(connection, { daysBehind: DAYS }));
  await pool.query(
    `INSERT INTO circuit_breaker_events (id, breaker_name, preset, event_type, failure_count, breaker_epoch, error_message,
       outbox_shard, outbox_epoch, outbox_seq, created_at)
     SELECT gen_random_uuid(), 'breaker-' || n % 200, 'ai_provider', CASE n % 4 WHEN 0 THEN 'opened' WHEN 1 THEN 'half_open'
         WHEN 2 THEN 'closed' ELSE 'failure' END, 5, CASE WHEN n % 4 < 3 THEN n END, 'HTTP 503', n % 16, 1, n,
       now() - interval '30 days' * (1 - n::float8 / $1)
     FROM generate_series(1, $1) AS n`,
    [breakerEvents],
  );
  await fillSamples(pool, samples);
  await pool.query(`
    INSERT INTO spillway.decision_counts (policy, outcome, minute, count)
    SELECT policy, outcome, at, 6000 FROM generate_series(date_trunc('minute', now() - interval '32 days'), now(), interval '1 minute') AS at
    CROSS JOIN unnest(ARRAY['strict', 'standard', 'generation', 'auth']) AS policy CROSS JOIN unnest(ARRAY['allowed', 'limited', 'blocked']) AS outcome`);
  await pool.query(`
    INSERT INTO spillway.decision_counts_hourly (policy, outcome, hour, count)
    SELECT policy, outcome, date_trunc('hour', minute), sum(count) FROM spillway.decision_counts GROUP BY 1, 2, 3`);
  // A day of reports of ten processes, each ten seconds.
  await pool.query(`
    INSERT INTO spillway.decision_reports
    SELECT gen_random_uuid(), policy, outcome, 1000, 10000, at, process, 1, 0
    FROM generate_series(now() - interval '1 day', now(), interval '10 seconds') AS at CROSS JOIN generate_series(1, 10) AS process
    CROSS JOIN unnest(ARRAY['strict', 'standard', 'generation', 'auth']) AS policy CROSS JOIN unnest(ARRAY['allowed', 'limited', 'blocked']) AS outcome`);
  await pool.query(`
    INSERT INTO generations (user_id, provider, created_at)
    SELECT 'user-' || n, 'runware', now() - interval '24 hours' * n / 1200000 FROM generate_series(1, 1200000) AS n`);
  // A week of logged calls of 10,000 users, more than the dashboard looks at.
  await pool.query(`
    INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
    SELECT 'user-' || n::bigint * 7919 % 10000, 'POST', '/', CASE n % 50 WHEN 0 THEN 429 ELSE 200 END, 90, now() - interval '7 days' * (n / 1000000.0)
    FROM generate_series(1, 1000000) AS n`);
  // Last, so that blocks of the last minutes still run when they are asked for.
  await fillBlocks(pool, blocks);
  await pool.query('VACUUM ANALYZE');
}

/** The last of them run now. */
async function fillBlocks(db: Queryable, blocks: number): Promise<void> {
  await db.query(
    `INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
       window_start, last_request_at, blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at)
     SELECT gen_random_uuid(), 'k', (ARRAY['strict', 'standard', 'generation', 'auth'])[1 + n % 4], 'act', 'user-' || n * 7919 % 200000,
       100, 60000, 100, n % 1000, at, at, at + (1 + n % 15) * interval '1 minute', CASE WHEN n % 20 = 0 THEN 'shadow' ELSE 'enforce' END,
       n % 16, 1, n, at
     FROM generate_series(1, $1::bigint) AS n CROSS JOIN LATERAL (SELECT now() - interval '7 days' * (1 - n::float8 / $1)) AS t (at)`,
    [blocks],
  );
}

async function fillSamples(db: Queryable, samples: number): Promise<void> {
  await db.query('ALTER TABLE system_metrics DISABLE TRIGGER system_metrics_late');
  // Made again below, sorted: much faster than row by row.
  await db.query('DROP INDEX system_metrics_stats_idx');
  const perDay = Math.floor(samples / DAYS);
  for (let day = DAYS - 1; day >= 0; day -= 1) {
    await db.query(
      `INSERT INTO system_metrics (metric_name, metric_value, metric_unit, recorded_at)
       SELECT 'app.latency_' || n % 40, n % 1000, 'ms', now() - interval '1 day' * ($1 + 1 - n::float8 / $2)
       FROM generate_series(1, $2) AS n`,
      [day, perDay],
    );
    await db.query(
      `INSERT INTO system_metrics (metric_name, metric_value, metric_unit, recorded_at)
       SELECT name, extract(second FROM at), 'ms', at
       FROM generate_series(now() - interval '1 day' * ($1 + 1), now() - interval '1 day' * $1, interval '10 seconds') AS at
       CROSS JOIN unnest(ARRAY['audit_flush_lag_ms', 'audit_event_lag_p50_ms', 'audit_event_lag_p99_ms', 'audit_outbox_events',
         'audit_queue_jobs', 'audit_dropped_total', 'audit_dead_letters', 'audit_missing_events']) AS name`,
      [day],
    );
  }
  await db.query(
    'CREATE INDEX system_metrics_stats_idx ON system_metrics (metric_name, recorded_at DESC NULLS FIRST, metric_value)',
  );
  await db.query('ALTER TABLE system_metrics ENABLE TRIGGER system_metrics_late');
}

const server = await startPostgres({
  args: ['-c', 'max_wal_size=8GB', '-c', 'shared_buffers=2GB', '-c', 'maintenance_work_mem=1GB', '-c', 'jit=off'],
});
const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 3_600_000 });
try {
  await migrate({ connectionString: server.url });
  await fill(pool, { blocks: Number(values.blocks), samples: Number(values.samples), breakerEvents: 100_000 });
  const { rows } = await pool.query(`SELECT pg_size_pretty(pg_database_size(current_database())) AS size, version()`);
  process.stdout.write(`${JSON.stringify(rows[0])}\n`);
  const results: Record<string, unknown> = {};
  for (const [name, run] of Object.entries(queries)) {
    try {
      const result = await measure(pool, run);
      results[name] = result;
      process.stdout.write(`| ${name} | ${result.ms.toFixed(1)} | ${result.planMs.toFixed(1)} | ${result.buffers} |\n`);
    } catch (error) {
      process.stdout.write(`${name}: ${String(error)}\n`);
    }
  }
  await writeFile(values.out, `${JSON.stringify({ ...rows[0], ...values, results }, null, 2)}\n`);
} finally {
  await pool.end();
  await server.stop();
}
