import { createApiKey, createPool, migrate, revokeApiKey } from '@spillway/db';
import { type PostgresServer, type RedisServer, startPostgres, startRedis } from '@spillway/local-servers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Api, startApi } from './start-api.ts';
import { type MemoryLog, memoryLog } from '../test/use-api.ts';

let redis: RedisServer;
let postgres: PostgresServer;
let pool: ReturnType<typeof createPool>;
let api: Api;
let log: MemoryLog;
let key: string;

beforeAll(async () => {
  log = memoryLog();
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  await migrate({ connectionString: postgres.url });
  pool = createPool({ connectionString: postgres.url, onError: () => undefined });
  key = (await createApiKey(pool, { name: 'test', scopes: ['admin'] })).key;
  api = await startApi({ redisUrl: redis.url, pool, host: '127.0.0.1', port: 0, logger: log.logger });
});
afterAll(async () => {
  await api.close(0);
  await pool.end();
  await Promise.all([redis.stop(), postgres.stop()]);
});

const consume = (policy: string, body: string | Uint8Array<ArrayBuffer>, as = key): Promise<Response> =>
  fetch(`${api.url}/v1/limits/${policy}/consume`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${as}`, 'Content-Type': 'application/json' },
    body,
  });
const readiness = async (): Promise<unknown> => {
  const response = await fetch(`${api.url}/readyz`);
  return [response.status, ((await response.json()) as { checks: unknown }).checks];
};

it('decides over HTTP, in Redis', async () => {
  await expect.poll(readiness).toEqual([200, { redis: 'up', postgres: 'up' }]);
  for (let request = 0; request < 10; request += 1) {
    expect(await (await consume('strict', '{"subject":"a"}')).json()).toMatchObject({ allowed: true });
  }
  const denial = await consume('strict', '{"subject":"a"}');
  expect(denial.status).toBe(200);
  const expected = { allowed: false, reason: 'blocked', retryAfterMs: 300_000, headers: { 'Retry-After': '300' } };
  expect(await denial.json()).toMatchObject(expected);
  expect(denial.headers.get('Retry-After')).toBeNull();
});

it('tells Prometheus what it decided', async () => {
  const response = await fetch(`${api.url}/metrics`);
  const body = await response.text();
  expect(body).toContain('spillway_limiter_decisions_total{policy="strict",outcome="allowed"} 10\n');
  expect(body).toMatch(/^spillway_limiter_batch_size_count [1-9]/mu);
});

it('a revocation that another process made reaches it within a second, and so does a new key', async () => {
  const { key: fresh, row } = await createApiKey(pool, { name: 'short', scopes: ['decide'] });
  const status = async (): Promise<number> => (await consume('standard', '{"subject":"r"}', fresh)).status;
  await expect.poll(status, { interval: 20 }).toBe(200);
  await revokeApiKey(pool, row.id);
  await expect.poll(status, { interval: 20 }).toBe(401);
});

it('answers 413 to a huge body and goes on', async () => {
  const huge = await consume('strict', new Uint8Array(2_000_000));
  expect(huge.status).toBe(413);
  expect(huge.headers.get('Content-Type')).toBe('application/problem+json');
  expect((await consume('strict', '{"subject":"b"}')).status).toBe(200);
});

it('while Redis is frozen: is not ready, decides by a share of its own where the policy says so, refuses where it is closed', async () => {
  await redis.pause();
  try {
    expect(await readiness()).toEqual([503, { redis: 'down', postgres: 'up' }]);
    expect(await (await consume('generation', '{"subject":"c"}')).json()).toMatchObject({
      allowed: true,
      source: 'local',
    });
    const refusal = await consume('auth', '{"subject":"c"}');
    expect([refusal.status, await refusal.json()]).toMatchObject([200, { allowed: false, reason: 'unavailable' }]);
  } finally {
    await redis.resume();
  }
  await expect.poll(readiness, { timeout: 10_000 }).toEqual([200, { redis: 'up', postgres: 'up' }]);
});

const ask = (url: string): Promise<unknown> =>
  fetch(`${url}/v1/limits/auth/consume`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: '{"subject":"patient"}',
  }).then(async (response) => response.json());

it('waits for Redis and keeps connections as long as it is told to', async () => {
  const patient = await startApi({
    redisUrl: redis.url,
    pool,
    host: '127.0.0.1',
    port: 0,
    deadlineMs: 60_000,
    connections: { keepAliveTimeoutMs: 5_000 },
    logger: memoryLog().logger,
  });
  expect((await fetch(`${patient.url}/healthz`)).headers.get('Keep-Alive')).toBe('timeout=5');
  expect(await ask(patient.url)).toMatchObject({ reason: 'allowed', remaining: 4 });
  await redis.pause();
  const waiting = ask(patient.url);
  await expect.poll(() => ask(api.url), { timeout: 10_000 }).toMatchObject({ reason: 'unavailable' });
  await redis.resume();
  expect(await waiting).toMatchObject({ reason: 'allowed', remaining: 3 });
  await patient.close(0);
});

it('is not ready while Redis is dead, says so once in the log, and finds it again', async () => {
  const before = log.lines().length;
  await redis.kill();
  await expect.poll(readiness, { timeout: 10_000 }).toEqual([503, { redis: 'down', postgres: 'up' }]);
  await redis.restart();
  await expect.poll(readiness, { timeout: 10_000 }).toEqual([200, { redis: 'up', postgres: 'up' }]);
  const messages = log
    .lines()
    .slice(before)
    .map(({ msg }) => msg);
  expect(messages.filter((message) => message === 'api: Redis is away')).toHaveLength(1);
  expect(messages.filter((message) => message === 'api: Redis is back')).toHaveLength(1);
});

it('is not ready while Postgres is dead, and decides all the same', async () => {
  await postgres.kill();
  expect(await readiness()).toEqual([503, { redis: 'up', postgres: 'down' }]);
  expect(await (await consume('standard', '{"subject":"d"}')).json()).toMatchObject({ reason: 'allowed' });
  const list = await fetch(`${api.url}/v1/audit/blocks`, { headers: { Authorization: `Bearer ${key}` } });
  expect([list.status, await list.json()]).toMatchObject([503, { title: 'Postgres cannot be reached right now' }]);
  await postgres.restart();
  await expect.poll(readiness, { timeout: 10_000 }).toEqual([200, { redis: 'up', postgres: 'up' }]);
});
