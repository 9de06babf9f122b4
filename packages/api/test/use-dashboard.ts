import { createApiKey, createPool, type Queryable } from '@spillway/db';
import { useRedis } from '@spillway/local-servers/testing';
import type { Page } from 'playwright-core';
import { afterEach, beforeAll, beforeEach } from 'vitest';
import { z } from 'zod';
import { type Api, startApi } from '../src/start-api.ts';
import { type TestBrowser, useBrowser, buildPage } from './use-browser.ts';
import { memoryLog, useMigratedDatabase } from './use-api.ts';

/** A running API with its page, and a browser to look at it. */
interface TestDashboard {
  readonly api: Api;
  readonly pool: ReturnType<typeof createPool>;
  readonly browser: TestBrowser;
  readonly redisUrl: string;
  /** Opens the page and logs in with a new key of this scope. */
  logIn(scope: 'read' | 'admin'): Promise<{ readonly page: Page; readonly keyId: string }>;
  /** Opens the page's login. */
  open(): Promise<Page>;
  /** Ends the API in the middle of a test. */
  stop(): Promise<void>;
  /** And starts it again, at the same address. */
  start(): Promise<void>;
  newKey(scope: 'decide' | 'read' | 'admin'): Promise<{ readonly key: string; readonly id: string }>;
}

/** What a test has, and a key that makes others. */
type Current = Pick<TestDashboard, 'api' | 'pool'> & { readonly admin: string };

/** Gives each test of the file the API as `start` runs it, on an empty Redis and an empty database. */
export function useDashboard(): TestDashboard {
  const redis = useRedis();
  const postgres = useMigratedDatabase();
  const browser = useBrowser();
  let current: Current | undefined;
  const serve = async (pool: TestDashboard['pool'], port: number): Promise<Api> => {
    const { logger } = memoryLog('error');
    const sessionSecret = 'a secret of thirty-two characters';
    return startApi({ redisUrl: redis.url, pool, host: '127.0.0.1', port, logger, sessionSecret });
  };
  beforeAll(buildPage);
  beforeEach(async () => {
    const pool = createPool({ connectionString: postgres.url, onError: () => undefined });
    const { key } = await createApiKey(pool, { name: 'test', scopes: ['admin'] });
    current = { api: await serve(pool, 0), pool, admin: key };
  });
  afterEach(async () => {
    await current?.api.close(0);
    await current?.pool.end();
  });
  const present = (): Current => {
    if (current === undefined) throw new Error('Only inside a test');
    return current;
  };
  // By the API itself, which then knows the key at once.
  const newKey: TestDashboard['newKey'] = async (scope) => {
    const response = await fetch(`${present().api.url}/v1/keys`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${present().admin}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: scope, scopes: [scope] }),
    });
    const made: unknown = await response.json();
    return z.object({ key: z.string(), id: z.string() }).parse(made);
  };
  const open = async (): Promise<Page> => {
    const page = await browser.newPage();
    await page.goto(`${present().api.url}/dashboard`);
    return page;
  };
  return {
    browser,
    newKey,
    open,
    stop: () => present().api.close(0),
    start: async () => {
      const { api, pool, admin } = present();
      current = { api: await serve(pool, Number(new URL(api.url).port)), pool, admin };
    },
    get api() {
      return present().api;
    },
    get pool() {
      return present().pool;
    },
    get redisUrl() {
      return redis.url;
    },
    logIn: async (scope) => {
      const { key, id } = await newKey(scope);
      const page = await open();
      await page.getByLabel('API key').fill(key);
      await page.keyboard.press('Enter');
      await page.locator('main.board').waitFor();
      return { page, keyId: id };
    },
  };
}

/** An afternoon of traffic: the tables as the limiters, the breakers and a worker would have filled them. */
const statements = [
  // Every ten seconds of an hour, as limiters count: waves, and a flood on `generation` a quarter of an hour ago.
  `SELECT spillway.add_decisions(array_agg(gen_random_uuid()), array_agg(policy), array_agg(outcome),
     array_agg(greatest(0, round(value))::bigint), array_agg(10000::bigint), array_agg(extract(epoch FROM at)::float8 * 1000),
     array_agg(0), array_agg(1::bigint), array_agg(1::bigint))
   FROM generate_series(now() - interval '65 minutes', now(), interval '10 seconds') AS at
   CROSS JOIN LATERAL (SELECT extract(epoch FROM now() - at)::float8 / 60 AS ago) AS t
   CROSS JOIN LATERAL (SELECT (hashtext(at::text) % 100) / 100.0 AS noise, exp(-((ago - 14) ^ 2) / 14) AS flood) AS n
   CROSS JOIN LATERAL (VALUES
     ('standard', 'allowed', 4200 + 700 * sin(ago / 9) + 160 * noise),
     ('standard', 'limited', 90 + 40 * sin(ago / 4) + 25 * noise),
     ('generation', 'allowed', 820 + 90 * sin(ago / 7) + 40 * noise + 260 * flood),
     ('generation', 'blocked', 25 + 10 * noise + 2600 * flood),
     ('auth', 'allowed', 64 + 12 * sin(ago / 11) + 8 * noise),
     ('auth', 'blocked', 5 + 3 * noise),
     ('strict', 'allowed', 150 + 25 * sin(ago / 6) + 12 * noise),
     ('strict', 'shadow', 38 + 12 * sin(ago / 5) + 6 * noise)
   ) AS sample (policy, outcome, value)`,
  `INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count, mode,
     window_start, last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq, created_at)
   SELECT gen_random_uuid(), who, tier, action, who, 20, 60000, 20, denied, mode, now(), now(), now() + until, 0, 1,
     row_number() OVER (), now() - interval '4 minutes'
   FROM (VALUES
     ('key:9f2c41d07be85a63c1f0a7d4e2b98c56', 'generation', 'generate-content', 48210, 'enforce', interval '96 seconds'),
     ('key:17e0ab5590c3f2d8846be1a97c20d4f3', 'generation', 'generate-content', 9120, 'enforce', interval '41 seconds'),
     ('ip:203.0.113.0/24', 'auth', 'sign-in', 611, 'enforce', interval '13 minutes'),
     ('user:4815', 'strict', 'export', 240, 'shadow', interval '2 minutes'),
     ('user:1623', 'standard', 'search', 88, 'enforce', interval '-1 minutes'),
     ('user:4242', 'auth', 'reset-password', 12, 'enforce', interval 'infinity')
   ) AS block (who, tier, action, denied, mode, until)`,
  `INSERT INTO circuit_breaker_events (id, breaker_name, preset, event_type, failure_count, breaker_epoch, metadata,
     error_message, outbox_shard, outbox_epoch, outbox_seq, created_at)
   SELECT gen_random_uuid(), name, preset, type, failures, epoch, metadata::jsonb, error, 0, 1, row_number() OVER (), now() - ago
   FROM (VALUES
     ('runware', 'ai_provider', 'failure', 184, null::bigint, '{}', 'HTTP 503 from api.runware.test', interval '3 minutes'),
     ('runware', 'ai_provider', 'opened', 5, 11, '{"reason": "failures", "openForMs": 60000}', 'HTTP 503 from api.runware.test', interval '22 seconds'),
     ('uploads', 'storage', 'failure', 9, null, '{}', 'connect ETIMEDOUT', interval '9 minutes'),
     ('uploads', 'storage', 'half_open', 3, 6, '{"reason": "open_time_over"}', null, interval '4 seconds'),
     ('partner-hooks', 'webhook', 'opened', 0, 3, '{"reason": "forced", "who": "key", "why": "partner is migrating"}', null, interval '51 minutes'),
     ('resend', 'email', 'failure', 2, null, '{}', 'HTTP 429 from api.resend.test', interval '31 minutes'),
     ('resend', 'email', 'closed', 0, 8, '{"reason": "probes_succeeded"}', null, interval '28 minutes')
   ) AS event (name, preset, type, failures, epoch, metadata, error, ago)`,
  `INSERT INTO system_metrics (metric_name, metric_value, metric_unit, recorded_at)
   SELECT name, round(share * (310 + 90 * sin(extract(epoch FROM at) / 300) + abs(hashtext(at::text) % 60)
     + 900 * exp(-((extract(epoch FROM now() - at)::float8 / 60 - 13) ^ 2) / 8))), 'ms', at
   FROM generate_series(now() - interval '65 minutes', now(), interval '15 seconds') AS at
   CROSS JOIN (VALUES ('audit_event_lag_p99_ms', 1.0), ('audit_event_lag_p50_ms', 0.4), ('audit_oldest_event_age_ms', 0.1)) AS metric (name, share)`,
  `INSERT INTO system_metrics (metric_name, metric_value, recorded_at) VALUES ('audit_outbox_events', 37, now()),
     ('audit_queue_jobs', 2, now()), ('audit_dropped_total', 0, now()), ('audit_dead_letters', 1, now()), ('audit_missing_events', 0, now()), ('audit_blocks_capped', 0, now())`,
  `WITH run (id, job, status, started_at, took, error_message, table_name, archived, deleted) AS (VALUES
     (gen_random_uuid(), 'cron-archive-data', 'completed', now() - interval '3 days', interval '41 seconds', null, 'public.api_call_logs', 1284310, 1284310),
     (gen_random_uuid(), 'cron-cleanup-rate-limits', 'completed', now() - interval '7 hours', interval '380 milliseconds', null, 'public.rate_limits_v2', 0, 8204),
     (gen_random_uuid(), 'cron-create-partitions', 'failed', now() - interval '24 days', interval '2 seconds', 'canceling statement due to lock timeout', null, 0, 0)
   ), runs AS (
     INSERT INTO spillway.job_runs (id, job, trigger, status, started_at, finished_at, duration_ms, error_message)
     SELECT id, job, 'schedule', status, started_at, started_at + took, extract(epoch FROM took) * 1000, error_message FROM run
   )
   INSERT INTO archive.archival_runs (run_id, job_name, table_name, status, archived_count, deleted_count, started_at, finished_at)
   SELECT id, job, table_name, status, archived, deleted, started_at, started_at + took FROM run WHERE table_name IS NOT NULL`,
  `INSERT INTO api_call_logs (user_id, method, endpoint, status_code, duration_ms, created_at)
   SELECT 'user-' || n, 'POST', '/functions/v1/generate-content', 200, 90, now() - interval '1 minute' FROM generate_series(1, 742) AS n`,
  `INSERT INTO system_metrics (metric_name, metric_value, recorded_at) VALUES ('spillway_active_users', 742, now() - interval '20 seconds'),
     ('spillway_generations_per_hour', 3120, now() - interval '20 seconds')`,
  `INSERT INTO spillway.alerts (rule, value, threshold, opened_at) VALUES ('audit_dead_letters', 1, 0, now() - interval '6 minutes')`,
];

/** What a limiter would have reported so long ago: an interval of Postgres. */
export async function reportDecisions(
  db: Queryable,
  { policy, outcome, count, ago }: Readonly<Record<'policy' | 'outcome' | 'ago', string>> & { readonly count: number },
): Promise<void> {
  await db.query(
    `SELECT spillway.add_decisions(ARRAY[gen_random_uuid()], ARRAY[$1], ARRAY[$2], ARRAY[$3::bigint], ARRAY[10000::bigint],
       ARRAY[extract(epoch FROM now() - $4::interval)::float8 * 1000], ARRAY[0], ARRAY[1::bigint], ARRAY[1::bigint])`,
    [policy, outcome, count, ago],
  );
}

/** Fills the tables that the dashboard reads with an hour of traffic up to now. */
export async function fillDashboard(db: Queryable): Promise<void> {
  for (const statement of statements) await db.query(statement);
}
