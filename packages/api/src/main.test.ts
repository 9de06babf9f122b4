import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPool } from '@spillway/db';
import { createLimiter, type LivePolicies, livePolicies } from '@spillway/limiter';
import { findFreePort, startPgBouncer } from '@spillway/local-servers';
import { compiled, type Program, startProgram as startMain, useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { readWorkerConfig, runWorker } from '@spillway/worker';
import { expect, it, onTestFinished, vi } from 'vitest';
import { useMigratedDatabase } from '../test/use-api.ts';
import { serve } from './serve.ts';

const redis = useRedis();
const postgres = useMigratedDatabase();
/** Runs the real process; every variable that matters is set by the test. */
const run = (env: Readonly<Record<string, string>>): Program =>
  startProgram('api', { REDIS_URL: redis.url, DATABASE_URL: postgres.url, ...env });

it('becomes ready, and ends with 0 on SIGTERM', async () => {
  const port = await findFreePort();
  const api = run({ PORT: String(port) });
  await vi.waitUntil(() => /api: listening|Error/.test(api.output()), { timeout: 20_000 });
  expect(api.output()).toContain('api: listening');
  await expect.poll(async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).status).toBe(200);
  api.child.kill('SIGTERM');
  expect(await api.exited).toBe(0);
});

it('ends at once by a SIGTERM while it starts, also as process 1 of a container, which has no default action for it', async () => {
  const silent = createServer();
  silent.listen(0, '127.0.0.1');
  const connected = once(silent, 'connection');
  onTestFinished(() => void silent.close());
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const api = run({ DATABASE_URL: `postgres://127.0.0.1:${port}/x` });
  await connected;
  api.child.kill('SIGTERM');
  expect(await api.exited).toBe(143);
});

it('becomes ready through a PgBouncer in transaction mode when it is told of one', async () => {
  const pooler = await startPgBouncer({ databaseUrl: postgres.url });
  onTestFinished(() => pooler.stop());
  const port = await findFreePort();
  run({ PORT: String(port), DATABASE_URL: pooler.url, DATABASE_SERVER: 'pgbouncer' });
  const ready = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
  await expect.poll(async () => ready().catch(() => 0), { timeout: 20_000 }).toBe(200);
});

it('ends with 1 and names the variable that is wrong', async () => {
  const api = run({ PORT: 'http' });
  expect(await api.exited).toBe(1);
  expect(api.output()).toBe('PORT must be a whole number from 1 to 65535, got "http"\n');
});

it.each([
  ['REDIS_URL', () => `${redis.url}/9999`, 'Redis refuses the database'],
  ['DATABASE_READ_URL', () => postgres.url.replace(/\/[^/]+$/u, '/none'), 'database "none" does not exist'],
])('ends with 1 and one line when a server refuses %s', async (variable, url, reason) => {
  const api = run({ [variable]: url() });
  expect(await api.exited).toBe(1);
  expect(api.output()).toMatch(new RegExp(`^${variable}: ${reason}[^\n]*\n$`, 'u'));
});

it('ends with 1 and one line when a server refuses what the worker inside connects to', async () => {
  const WORKER_DATABASE_URL = postgres.url.replace(/\/[^/]+$/u, '/none');
  const api = startBoth({ WORKER_DATABASE_URL });
  expect(await api.exited).toBe(1);
  expect(api.output()).toBe('WORKER_DATABASE_URL: database "none" does not exist\n');
});

it('ends with 1 and names PORT when the port is taken', async () => {
  const other = await serve({ fetch: () => new Response(), host: '127.0.0.1', port: 0 });
  const api = run({ PORT: String(other.port) });
  expect(await api.exited).toBe(1);
  expect(api.output()).toContain(`PORT ${other.port} is taken`);
  await other.close(0);
});

const SHARDS = 4;
const patience = { timeout: 30_000 };

function startBoth(env: Readonly<Record<string, string>> = {}): Program {
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
  const api = startBoth({ PORT, WORKER_HTTP_PORT });
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
  const first = startBoth({ PORT: await freePort() });
  await expect.poll(first.output, patience).toContain('worker: running');
  await block(1_500, 'user');
  await expect.poll(rows, { ...patience, interval: 1 }).toBeGreaterThan(0);
  first.child.kill('SIGKILL');
  await first.exited;
  startBoth({ PORT: await freePort() });
  await expect.poll(rows, { timeout: 60_000 }).toBe(1_500);
}, 120_000);

it('works beside a worker of its own process, and each event is one row', async () => {
  const env = { REDIS_URL: redis.url, DATABASE_URL: postgres.url, SPILLWAY_SHARDS: String(SHARDS) };
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const config = readWorkerConfig({ ...env, SPILLWAY_BLOCK_ROWS_PER_MINUTE: '0' });
  const worker = await runWorker({ config, logger });
  onTestFinished(() => worker.close());
  const api = startBoth({ PORT: await freePort() });
  await expect.poll(api.output, patience).toContain('worker: running');
  await block(800, 'both');
  await expect.poll(rows, patience).toBe(800);
}, 90_000);

it('ends in its time on SIGTERM while Redis and Postgres are away', async () => {
  const away = { REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: 'postgres://127.0.0.1:1/none' };
  const api = startBoth({ PORT: await freePort(), ...away });
  await expect.poll(api.output, patience).toContain('worker: running');
  api.child.kill('SIGTERM');
  expect(await api.exited).toBe(0);
}, 60_000);

it('ends with 1 when the port of its worker is taken', async () => {
  const other = await serve({ fetch: () => new Response(), host: '127.0.0.1', port: 0 });
  onTestFinished(() => other.close(0));
  const api = startBoth({ PORT: await freePort(), WORKER_HTTP_PORT: String(other.port) });
  expect(await api.exited).toBe(1);
  const message = `WORKER_HTTP_PORT must be a port that this process can listen to on 127.0.0.1 (EADDRINUSE), got "${other.port}"\n`;
  expect(api.output().endsWith(message)).toBe(true);
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
  const api = startBoth({ PORT: await freePort(), DATABASE_URL, WORKER_DATABASE_URL, MAINTENANCE_DATABASE_URL });
  await block(20, 'apart');
  await expect.poll(rows, patience).toBe(20);
  const routes = createPool({ connectionString: DATABASE_URL, onError: () => {} });
  await expect(routes.query('DELETE FROM rate_limits_v2')).rejects.toThrow(/permission denied/u);
  await routes.end();
  api.child.kill('SIGTERM');
  expect(await api.exited).toBe(0);
  await pool.query('DROP ROLE inside_api, inside_worker, inside_maintenance');
}, 90_000);

/** A program without Postgres, which no file needs. */
async function startWithFile(
  program: 'api' | 'worker',
  file: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Program> {
  const urls = {
    REDIS_URL: redis.url,
    DATABASE_URL: 'postgres://127.0.0.1:1/none',
    PORT: String(await findFreePort()),
  };
  return startProgram(program, { ...urls, SPILLWAY_FILE: file, ...env });
}

async function fileOf(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'spillway-start-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'spillway.yaml');
  await writeFile(path, text);
  return path;
}

async function openLive(): Promise<LivePolicies> {
  const client = redis.connect(hotPathOptions);
  await expect.poll(() => client.status, patience).toBe('ready');
  const live = livePolicies({ redis: client, deadlineMs: 5_000 });
  onTestFinished(() => live.close());
  return live;
}

/** What waits in an outbox for the trail. */
async function recorded(): Promise<string> {
  return JSON.stringify(await redis.client.xrange('{sw:00}:outbox', '-', '+'));
}

const policies = (limit: number): string => `policies:\n  uploads: { limit: ${limit}, windowMs: 60000 }\n`;

it.each(['api', 'worker'] as const)(
  '%s applies SPILLWAY_FILE at its start, and takes back nothing when it starts again',
  async (program) => {
    const live = await openLive();
    await live.deny('mallory');
    const limits = async (): Promise<number[]> => (await live.list()).policies.map(({ limit }) => limit);
    const file = await fileOf(policies(7));
    const first = await startWithFile(program, file);
    await expect.poll(limits, patience).toEqual([7]);
    await expect.poll(async () => (await live.list()).file?.name, patience).toBe('spillway.yaml');
    expect((await live.list()).denied).toEqual(['mallory']);
    await expect.poll(recorded, patience).toContain(`${program}:${hostname()}`);
    first.child.kill('SIGTERM');
    expect(await first.exited).toBe(0);

    // In the night somebody had to lower it.
    await live.setPolicy({ name: 'uploads', limit: 1, windowMs: 60_000 });
    const second = await startWithFile(program, file);
    await expect.poll(second.output, patience).toContain('policy file: applied before');
    expect(await limits()).toEqual([1]);

    await startWithFile(program, await fileOf(policies(9)));
    await expect.poll(limits, patience).toEqual([9]);
  },
  120_000,
);

it.each(['api', 'worker'] as const)(
  '%s ends with 1 and says where its file is wrong',
  async (program) => {
    const file = await fileOf('policies:\n  uploads: { limit: 0, windowMs: 60000 }\n');
    const { exited, output } = await startWithFile(program, file);
    expect(await exited).toBe(1);
    expect(output()).toMatch(/spillway\.yaml:2:21: policies\.uploads\.limit must be a whole number from 1 to \d+\n$/u);
  },
  60_000,
);

it('waits for Redis, and ends in its time when it never comes', async () => {
  const api = await startWithFile('api', await fileOf(policies(7)), { REDIS_URL: 'redis://127.0.0.1:1' });
  await expect.poll(api.output, patience).toContain('policy file: not applied yet');
  api.child.kill('SIGTERM');
  expect(await api.exited).toBe(0);
}, 60_000);

const mains = {
  api: await compiled(new URL('../src/main.ts', import.meta.url)),
  worker: await compiled(new URL('../../worker/src/main.ts', import.meta.url)),
};

/** Starts one of our programs as built, with no other variables than these. It is killed when its test is over. */
const startProgram = (program: keyof typeof mains, env: Readonly<Record<string, string>>): Program =>
  startMain(mains[program], env);
