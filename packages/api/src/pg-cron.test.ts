import { readFileSync } from 'node:fs';
import { createApiKey, createPool, migrate } from '@spillway/db';
import { missingPackages, type PostgresServer, startPostgres } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { createLimiter, memoryStore, tiers } from '@spillway/limiter';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createApp } from './app.ts';
import { keyDirectory } from './auth/key-directory.ts';
import { type HttpServer, serve } from './serve.ts';
import { memoryLog, workersOf } from '../test/use-api.ts';

const binDir = '/usr/lib/postgresql/15/bin';
const missing = await missingPackages([
  { name: 'postgresql-15', file: `${binDir}/postgres` },
  { name: 'postgresql-15-cron', file: '/usr/lib/postgresql/15/lib/pg_cron.so' },
  { name: 'curl', file: '/usr/bin/curl' },
]);

/** The page that operators copy from. */
const page = readFileSync(new URL('../../../docs/cron-jobs.md', import.meta.url), 'utf8');
const [, statements = ''] = /```sql\n([\s\S]*?)```/.exec(page) ?? [];

/** What `spillway init supabase` writes; `supabase.test` of the examples runs that command. */
const withVault = readFileSync(new URL('../../cli/templates/supabase/spillway-cron.sql.txt', import.meta.url), 'utf8');

/** Stands in for Supabase's Vault, which Debian does not have either: its function and its view, without the encryption. */
const vault = `
  CREATE SCHEMA vault;
  CREATE TABLE vault.secrets (name text UNIQUE, secret text);
  CREATE FUNCTION vault.create_secret(new_secret text, new_name text) RETURNS void
    LANGUAGE sql AS 'INSERT INTO vault.secrets VALUES (new_name, new_secret)';
  CREATE VIEW vault.decrypted_secrets AS SELECT name, secret AS decrypted_secret FROM vault.secrets;`;

/**
 * Stands in for pg_net, which Debian does not have: its signature and defaults, and the request that it sends. It, too,
 * adds the content type where the headers have none, and takes no other.
 */
const pgNet = `
  CREATE SCHEMA net;
  CREATE TABLE net._http_response (url text, status_code int);
  CREATE TABLE net.line (status_code int);
  CREATE FUNCTION net.http_post(
    url text, body jsonb DEFAULT '{}', params jsonb DEFAULT '{}',
    headers jsonb DEFAULT '{"Content-Type": "application/json"}', timeout_milliseconds int DEFAULT 5000
  ) RETURNS bigint LANGUAGE plpgsql AS $body$
  DECLARE command text;
  BEGIN
    IF NOT EXISTS (SELECT FROM jsonb_object_keys(headers) AS name WHERE lower(name) = 'content-type') THEN
      headers := headers || '{"Content-Type": "application/json"}';
    END IF;
    SELECT format('curl -s -o /dev/null -w "%%{http_code}\\n" -m %s -X POST -A pg_net/0.19.5 %s -d ''%s'' ''%s''',
             timeout_milliseconds / 1000, string_agg(format('-H ''%s: %s''', name, value), ' '), body, url)
      INTO command FROM jsonb_each_text(headers) AS header(name, value);
    CREATE TEMP TABLE answer (status_code int) ON COMMIT DROP;
    EXECUTE format('COPY answer FROM PROGRAM %L', command);
    INSERT INTO net._http_response SELECT url, status_code FROM answer;
    RETURN 1;
  END $body$;`;

const redis = useRedis();
const closing: (() => Promise<void>)[] = [];
let postgres: PostgresServer;
let pool: ReturnType<typeof createPool>;
let server: HttpServer;
let key: string;

beforeAll(async () => {
  if (missing !== undefined) return;
  const cron = ['shared_preload_libraries=pg_cron', 'cron.database_name=spillway', 'cron.use_background_workers=on'];
  // The restart must lose nothing.
  const settings = [...cron, 'synchronous_commit=on'];
  postgres = await startPostgres({ binDir, args: settings.flatMap((setting) => ['-c', setting]) });
  await migrate({ connectionString: postgres.url });
  pool = createPool({ connectionString: postgres.url, onError: () => undefined });
  ({ key } = await createApiKey(pool, { name: 'pg_cron', scopes: ['maintain'] }));
  const { logger } = memoryLog();
  const app = createApp({
    limiter: createLimiter({ store: memoryStore(), policies: tiers }),
    checks: { redis: async () => undefined, postgres: async () => undefined },
    logger,
    authenticator: keyDirectory({ db: pool, logger }),
    db: pool,
    ...workersOf({ pool, redisUrl: redis.url, onClose: (close) => void closing.push(close), answerWithinMs: 4_000 }),
  });
  server = await serve({ fetch: app.fetch, host: '127.0.0.1', port: 0 });
}, 60_000);
afterAll(async () => {
  await server?.close(0);
  for (const close of closing.toReversed()) await close();
  await pool?.end();
  await postgres?.stop();
});

/** Nobody wants to wait until Sunday: pg_cron runs these once when it starts. Gives what the API answered. */
async function runAtStart(): Promise<() => Promise<string[]>> {
  await pool.query(`UPDATE cron.job SET schedule = '@reboot'`);
  await postgres.kill();
  await postgres.restart();
  return async () => {
    const { rows } = await pool.query<{ url: string; status_code: number }>('SELECT * FROM net._http_response');
    return rows.map(({ url, status_code: status }) => `${url.replace(server.url, '')} ${status}`).toSorted();
  };
}

const schedules = [
  { jobname: 'cleanup-rate-limits', schedule: '0 3 * * *' },
  { jobname: 'create-partitions', schedule: '0 1 1 * *' },
  { jobname: 'archive-data', schedule: '0 2 * * 0' },
];
const answered = [
  '/functions/v1/cron-archive-data 200',
  '/functions/v1/cron-cleanup-rate-limits 200',
  '/functions/v1/cron-create-partitions 200',
];

describe.skipIf(missing !== undefined)('pg_cron', () => {
  afterEach(async () => {
    await pool.query('DROP SCHEMA IF EXISTS net, vault CASCADE');
    await pool.query('SELECT cron.unschedule(jobid) FROM cron.job');
  });

  it('calls the three jobs by the statements of docs/cron-jobs.md', async () => {
    await pool.query(pgNet);
    const filled = statements
      .replaceAll('https://spillway.example.com', server.url)
      .replaceAll('YOUR_API_KEY', key)
      .replace('CREATE EXTENSION IF NOT EXISTS pg_net;', '');
    await pool.query(filled);
    const { rows } = await pool.query('SELECT jobname, schedule FROM cron.job ORDER BY jobid');
    expect(rows).toEqual(schedules);

    await expect.poll(await runAtStart(), { timeout: 20_000 }).toEqual(answered);
    const jobs = await pool.query('SELECT DISTINCT job_name, status FROM archive.archival_runs ORDER BY job_name');
    expect(jobs.rows).toEqual([
      { job_name: 'cron-archive-data', status: 'completed' },
      { job_name: 'cron-cleanup-rate-limits', status: 'completed' },
      { job_name: 'cron-create-partitions', status: 'completed' },
    ]);
  }, 60_000);

  it('calls them by what `spillway init supabase` writes, with address and key in Vault and nowhere else', async () => {
    await pool.query(pgNet);
    await pool.query(vault);
    await pool.query('SELECT vault.create_secret($1, $2)', [server.url, 'spillway_url']);
    await pool.query('SELECT vault.create_secret($1, $2)', [key, 'spillway_key']);
    const installable = withVault.replace('CREATE EXTENSION IF NOT EXISTS pg_net;', '');
    // A second run changes nothing.
    for (let time = 0; time < 2; time += 1) await pool.query(installable);
    const { rows } = await pool.query<{ command: string }>(
      'SELECT jobname, schedule, command FROM cron.job ORDER BY jobid',
    );
    expect(rows).toMatchObject(schedules);
    for (const { command } of rows) {
      expect(command).not.toContain(key);
      expect(command).not.toContain(server.url);
    }
    await expect.poll(await runAtStart(), { timeout: 20_000 }).toEqual(answered);
  }, 60_000);
});
