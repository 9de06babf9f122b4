import { type createPool, ensureMetricDays, type Queryable, withConnection } from '@spillway/db';

type Pool = ReturnType<typeof createPool>;

/** How many rows of each kind. */
export interface Amounts {
  readonly blocks: number;
  readonly samples: number;
  readonly breakerEvents: number;
}

/** Days of samples. */
const DAYS = 30;

/**
 * Blocks of a week by 200,000 subjects, of one to fifteen minutes each, and a third of those of the last fifteen minutes run, for an hour; transitions and failures of 200 breakers over a month; a
 * month of samples, of which a worker's own are every ten seconds and the rest is of forty metrics of an application; a month
 * of decisions by the minute, of four policies and three outcomes; and a week of logged calls.
 */
export async function fill(pool: Pool, { blocks, samples, breakerEvents }: Amounts): Promise<void> {
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
  // A week of logged calls of 10,000 users, more than the dashboard looks at.
  await pool.query(`
    INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
    SELECT 'user-' || n::bigint * 7919 % 10000, 'POST', '/', CASE n % 50 WHEN 0 THEN 429 ELSE 200 END, 90, now() - interval '7 days' * (n / 1000000.0)
    FROM generate_series(1, 1000000) AS n`);
  // Last, so that those of the last minutes are still new when they are asked for.
  await fillBlocks(pool, blocks);
  await pool.query('VACUUM ANALYZE');
}

/** Their indexes are made afterwards, sorted: in a third of the time. */
async function fillBlocks(db: Queryable, blocks: number): Promise<void> {
  const { rows: indexes } = await db.query<{ name: string; made: string; key: boolean }>(`
    SELECT indexrelid::regclass::text AS name, indisprimary AS key,
           coalesce('ALTER TABLE rate_limits_v2 ADD ' || pg_get_constraintdef(c.oid), pg_get_indexdef(indexrelid)) AS made
    FROM pg_index LEFT JOIN pg_constraint AS c ON conindid = indexrelid AND contype = 'p' WHERE indrelid = 'rate_limits_v2'::regclass`);
  for (const { name, key } of indexes) {
    await db.query(key ? `ALTER TABLE rate_limits_v2 DROP CONSTRAINT ${name}` : `DROP INDEX ${name}`);
  }
  await db.query(
    `INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
       window_start, last_request_at, blocked_until, mode, outbox_shard, outbox_epoch, outbox_seq, created_at)
     SELECT gen_random_uuid(), 'k', (ARRAY['strict', 'standard', 'generation', 'auth'])[1 + n % 4], 'act', 'user-' || n * 7919 % 200000,
       100, 60000, 100, n % 1000, at, at,
       CASE WHEN at < now() - interval '15 minutes' THEN at + (1 + n % 15) * interval '1 minute'
         WHEN n % 3 = 0 THEN at + interval '1 hour' ELSE at + interval '1 second' END, CASE WHEN n % 20 = 0 THEN 'shadow' ELSE 'enforce' END,
       n % 16, 1, n, at
     FROM generate_series(1, $1::bigint) AS n CROSS JOIN LATERAL (SELECT now() - interval '7 days' * (1 - n::float8 / $1)) AS t (at)`,
    [blocks],
  );
  for (const { made } of indexes) await db.query(made);
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
       CROSS JOIN unnest(ARRAY['audit_oldest_event_age_ms', 'audit_event_lag_p50_ms', 'audit_event_lag_p99_ms', 'audit_outbox_events',
         'audit_queue_jobs', 'audit_dropped_total', 'audit_dead_letters', 'audit_missing_events']) AS name`,
      [day],
    );
  }
  await db.query(
    'CREATE INDEX system_metrics_stats_idx ON system_metrics (metric_name, recorded_at DESC NULLS FIRST, metric_value)',
  );
  await db.query('ALTER TABLE system_metrics ENABLE TRIGGER system_metrics_late');
}
