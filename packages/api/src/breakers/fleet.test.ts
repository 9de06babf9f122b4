import { createBreakers, definePreset } from '@spillway/breaker';
import { createApiKey, createPool, migrate } from '@spillway/db';
import { usePostgres, useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { startWorker } from '@spillway/worker';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Api, startApi } from '../start-api.ts';
import { memoryLog } from '../../test/use-api.ts';

const redis = useRedis();
const postgres = usePostgres({
  scope: 'test',
  template: 'spillway_db',
  migrate: async (connectionString) => void (await migrate({ connectionString })),
});
const { logger } = memoryLog();
const soon = { timeout: 10_000 };

let pool: ReturnType<typeof createPool>;
let api: Api;
let key: Awaited<ReturnType<typeof createApiKey>>;

beforeEach(async () => {
  pool = createPool({ connectionString: postgres.url, onError: () => undefined });
  key = await createApiKey(pool, { name: 'on call', scopes: ['admin'] });
  api = await startApi({ redisUrl: redis.url, pool, host: '127.0.0.1', port: 0, logger });
});
afterEach(async () => {
  await api.close(0);
  await pool.end();
});

async function ask(path = '', body?: unknown): Promise<[number, unknown]> {
  const response = await fetch(`${api.url}/v1/breakers${path}`, {
    method: body === undefined ? 'GET' : 'PUT',
    headers: { Authorization: `Bearer ${key.key}`, 'Content-Type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return [response.status, await response.json()];
}

it('a breaker that is forced open by HTTP refuses in every process, and the trail has who and why', async () => {
  const worker = startWorker({ redis: redis.url, pool, shards: 16, logger, pump: { lingerMs: 20 } });
  const client = redis.connect(hotPathOptions);
  await vi.waitUntil(() => client.status === 'ready');
  const application = createBreakers({ redis: client, deadlineMs: 5_000 });
  const call = async (): Promise<unknown> =>
    application.run('runware', 'ai_provider', () => 'fine', { fallback: null });
  expect(await call()).toBe('fine');

  const change = { mode: 'forced_open', why: 'their status page says so', forMs: 600_000 };
  const set = (): Promise<[number, unknown]> => ask('/runware?preset=ai_provider', change);
  // Redis may not be connected yet.
  await expect
    .poll(set, soon)
    .toMatchObject([200, { fleetState: 'forced_open', who: `api-key:${key.row.id}`, why: change.why }]);
  await expect.poll(call, soon).toBeNull();
  const refusal = await application.run('runware', 'ai_provider', () => 'fine').catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: 'circuit_open', state: 'forced_open' });

  const events = 'SELECT breaker_name, preset, event_type, metadata FROM circuit_breaker_events';
  await expect
    .poll(async () => (await pool.query(events)).rows, soon)
    .toMatchObject([
      {
        breaker_name: 'runware',
        preset: 'ai_provider',
        event_type: 'opened',
        metadata: { reason: 'forced', who: `api-key:${key.row.id}`, why: change.why },
      },
    ]);
  expect(await ask()).toMatchObject([200, { rows: [{ name: 'runware', fleetState: 'forced_open', isStale: false }] }]);
  const scraped = await (await fetch(`${api.url}/metrics`)).text();
  expect(scraped).toContain('spillway_breaker_state{breaker="runware",preset="ai_provider",state="forced_open"} 1\n');

  expect(await ask('/runware', { mode: 'auto' })).toMatchObject([200, { fleetState: 'closed', who: null }]);
  await expect.poll(call, soon).toBe('fine');
  await application.close();
  await worker.close();
});

const down = (): Promise<never> => Promise.reject(new Error('down'));

it("leaves an application's own numbers for a built-in preset as they are", async () => {
  const client = redis.connect(hotPathOptions);
  await vi.waitUntil(() => client.status === 'ready');
  const hourMs = 3_600_000;
  const own = definePreset({ name: 'ai_provider', trip: { strategy: 'consecutive', failures: 2 }, openMs: hourMs });
  const application = createBreakers({ redis: client, deadlineMs: 5_000, presets: [own] });
  const breaker = application.get('runware', 'ai_provider');
  const path = '/runware?preset=ai_provider';
  const asks = (): Promise<unknown> => ask(path).then(([, body]) => body);
  await expect.poll(() => ask(path), soon).toMatchObject([404, {}]);
  for (let times = 0; times < 2; times += 1)
    await application.run('runware', 'ai_provider', down).catch(() => undefined);
  await expect.poll(async () => (await breaker.read()).fleetState, soon).toBe('open');

  // By the built-in numbers the longest opening is ten minutes.
  const { refusesForMs } = (await asks()) as { refusesForMs: number };
  expect(refusesForMs).toBeGreaterThan(hourMs / 2);
  expect((await breaker.read()).refusesForMs).toBeGreaterThan(hourMs / 2);
  for (const change of [{ mode: 'forced_open', forMs: 60_000 }, { mode: 'auto' }]) {
    expect(await ask(path, { ...change, why: 'drill' })).toMatchObject([200, {}]);
  }
  const [record = ''] = await redis.client.keys('*:cb:ai_provider/runware');
  expect(JSON.parse((await redis.client.get(record)) ?? '{}')).toMatchObject({
    config: { version: 1, openMs: hourMs, trip: { failures: 2 } },
  });
  await application.close();
});

it('names the presets that there are', async () => {
  expect(await ask('/runware?preset=nope', { mode: 'auto' })).toMatchObject([
    400,
    { errors: [{ field: 'preset', detail: 'must be one of ai_provider, storage, webhook, email, not "nope"' }] },
  ]);
});

it('answers 503 to a change while Redis is away, and 200 with what is known to a question', async () => {
  await ask('/s3?preset=storage');
  await redis.client.client('PAUSE', 60_000, 'WRITE');
  expect(await ask('/s3?preset=storage', { mode: 'forced_open' })).toMatchObject([
    503,
    { title: 'Redis cannot be reached right now' },
  ]);
  expect(await ask('/s3?preset=storage')).toMatchObject([200, { name: 's3', isStale: true }]);
  await redis.client.client('UNPAUSE');
});
