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
  jobOverview,
  latestMetrics,
  listAlerts,
  listBlocks,
  listMetrics,
  metricSeries,
  metricStats,
  migrate,
  type Queryable,
  readCapacity,
  readTrailHealth,
  topUsers,
} from '@spillway/db';
import { startPostgres } from '@spillway/local-servers';

import { fill } from './fill.ts';

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
  alerts: async (db) => listAlerts(db, { openOnly: true }),
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

const server = await startPostgres({
  args: ['-c', 'max_wal_size=8GB', '-c', 'shared_buffers=2GB', '-c', 'maintenance_work_mem=1GB', '-c', 'jit=off'],
});
const pool = createPool({ connectionString: server.url, onError: () => {}, statementTimeoutMs: 3_600_000 });
try {
  await migrate({ connectionString: server.url });
  await fill(pool, { blocks: Number(values.blocks), samples: Number(values.samples), breakerEvents: 100_000 });
  const { rows } = await pool.query(`SELECT pg_size_pretty(pg_database_size(current_database())) AS size, version()`);
  console.log(rows[0]);
  const results: Record<string, unknown> = {};
  for (const [name, run] of Object.entries(queries)) {
    try {
      const result = await measure(pool, run);
      results[name] = result;
      console.log(`| ${name} | ${result.ms.toFixed(1)} | ${result.planMs.toFixed(1)} | ${result.buffers} |`);
    } catch (error) {
      console.log(name, String(error));
    }
  }
  await writeFile(values.out, `${JSON.stringify({ ...rows[0], ...values, results }, null, 2)}\n`);
} finally {
  await pool.end();
  await server.stop();
}
