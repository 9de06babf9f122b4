import { createPool, migrate } from '@spillway/db';
import { findFreePort } from '@spillway/local-servers';
import { usePostgres, useRedis, type Program } from '@spillway/local-servers/testing';
import { createLimiter, hotPathOptions } from '@spillway/limiter';
import { readWorkerConfig, runWorker } from '@spillway/worker';
import { expect, it, onTestFinished } from 'vitest';
import { serve } from './serve.ts';
import { startProgram } from '../test/start-program.ts';

const redis = useRedis();
const postgres = usePostgres({
  template: 'spillway_db',
  migrate: async (connectionString) => void (await migrate({ connectionString })),
  scope: 'test',
});
const SHARDS = 4;
const patience = { timeout: 30_000 };

function start(env: Readonly<Record<string, string>> = {}): Program {
  const inside = { SPILLWAY_WORKER: 'inside', SPILLWAY_SHARDS: String(SHARDS), SPILLWAY_BLOCK_ROWS_PER_MINUTE: '0' };
  return startProgram('api', { REDIS_URL: redis.url, DATABASE_URL: postgres.url, ...inside, ...env });
}

const freePort = async (): Promise<string> => String(await findFreePort());

/** Gets so many users blocked. */
async function block(users: number, name: string): Promise<void> {
  const client = redis.connect(hotPathOptions);
  await expect.poll(() => client.status, patience).toBe('ready');
  const policies = [{ name: 'once', limit: 1, windowMs: 60_000, blockMs: 60_000 }];
  const limiter = createLimiter({ redis: client, policies, shards: SHARDS, deadlineMs: 5_000 });
  const twice = async (user: number): Promise<void> => {
    for (let request = 0; request < 2; request += 1) await limiter.consume('once', `${name}-${user}`);
  };
  await Promise.all(Array.from({ length: users }, (_, user) => twice(user)));
  await limiter.close();
}

async function rows(): Promise<number> {
  const { rows: counted } = await postgres.pool.query<{ n: string }>('SELECT count(*) AS n FROM rate_limits_v2');
  return Number(counted[0]?.n);
}

async function status(port: string, path: string): Promise<number> {
  return (await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined))?.status ?? 0;
}

it('serves, stores the trail and runs the schedules in one process, and ends with 0 on SIGTERM', async () => {
  const [PORT, WORKER_HTTP_PORT] = [await freePort(), await freePort()];
  const api = start({ PORT, WORKER_HTTP_PORT });
  await block(50, 'first');
  await expect.poll(rows, patience).toBe(50);
  await expect.poll(() => status(PORT, '/readyz'), patience).toBe(200);
  await expect.poll(() => status(WORKER_HTTP_PORT, '/readyz'), patience).toBe(200);
  expect(await (await fetch(`http://127.0.0.1:${WORKER_HTTP_PORT}/metrics`)).text()).toContain('spillway_worker_');
  api.child.kill('SIGTERM');
  expect(await api.exited).toBe(0);
  expect(api.output()).toContain('api: stopped');
  expect(api.output()).not.toContain('the hard way');
}, 90_000);

it('loses nothing and stores nothing twice when it is killed, and another one goes on', async () => {
  const first = start({ PORT: await freePort() });
  await expect.poll(first.output, patience).toContain('worker: running');
  await block(1_500, 'user');
  await expect.poll(rows, { ...patience, interval: 1 }).toBeGreaterThan(0);
  first.child.kill('SIGKILL');
  await first.exited;
  start({ PORT: await freePort() });
  await expect.poll(rows, { timeout: 60_000 }).toBe(1_500);
}, 120_000);

it('works beside a worker of its own process, and each event is one row', async () => {
  const env = { REDIS_URL: redis.url, DATABASE_URL: postgres.url, SPILLWAY_SHARDS: String(SHARDS) };
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const config = readWorkerConfig({ ...env, SPILLWAY_BLOCK_ROWS_PER_MINUTE: '0' });
  const worker = await runWorker({ config, logger });
  onTestFinished(() => worker.close());
  const api = start({ PORT: await freePort() });
  await expect.poll(api.output, patience).toContain('worker: running');
  await block(800, 'both');
  await expect.poll(rows, patience).toBe(800);
}, 90_000);

it('ends in its time on SIGTERM while Redis and Postgres are away', async () => {
  const away = { REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: 'postgres://127.0.0.1:1/none' };
  const api = start({ PORT: await freePort(), ...away });
  await expect.poll(api.output, patience).toContain('worker: running');
  api.child.kill('SIGTERM');
  expect(await api.exited).toBe(0);
}, 60_000);

it('ends with 1 when the port of its worker is taken', async () => {
  const other = await serve({ fetch: () => new Response(), host: '127.0.0.1', port: 0 });
  onTestFinished(() => other.close(0));
  const api = start({ PORT: await freePort(), WORKER_HTTP_PORT: String(other.port) });
  expect(await api.exited).toBe(1);
  expect(api.output()).toContain('EADDRINUSE');
}, 60_000);

it('stores rows as a user of its own, so that the routes need no right to write them', async () => {
  const { pool } = postgres;
  const login = async (name: string, role: string): Promise<string> => {
    await pool.query(`CREATE ROLE ${name} LOGIN PASSWORD 'secret-of-${name}' IN ROLE ${role}`);
    const url = new URL(postgres.url);
    [url.username, url.password] = [name, `secret-of-${name}`];
    return url.href;
  };
  const DATABASE_URL = await login('inside_api', 'spillway_api, spillway_reader');
  const WORKER_DATABASE_URL = await login('inside_worker', 'spillway_writer');
  const MAINTENANCE_DATABASE_URL = await login('inside_maintenance', 'spillway_maintenance');
  const api = start({ PORT: await freePort(), DATABASE_URL, WORKER_DATABASE_URL, MAINTENANCE_DATABASE_URL });
  await block(20, 'apart');
  await expect.poll(rows, patience).toBe(20);
  const routes = createPool({ connectionString: DATABASE_URL, onError: () => {} });
  await expect(routes.query('DELETE FROM rate_limits_v2')).rejects.toThrow(/permission denied/u);
  await routes.end();
  api.child.kill('SIGTERM');
  expect(await api.exited).toBe(0);
  await pool.query('DROP ROLE inside_api, inside_worker, inside_maintenance');
}, 90_000);
