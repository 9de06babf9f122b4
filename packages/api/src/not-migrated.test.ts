import { createPool, migrate } from '@spillway/db';
import { usePostgres, useRedis } from '@spillway/local-servers/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Api, startApi } from './start-api.ts';
import { type MemoryLog, memoryLog } from '../test/use-api.ts';

const redis = useRedis();
const postgres = usePostgres({ scope: 'test' });
let log: MemoryLog;
let api: Api;
let pool: ReturnType<typeof createPool>;

beforeEach(async () => {
  log = memoryLog('info');
  pool = createPool({ connectionString: postgres.url, onError: () => undefined });
  const { logger } = log;
  api = await startApi({ redisUrl: redis.url, pool, host: '127.0.0.1', port: 0, metricsPort: 0, logger });
});
afterEach(async () => {
  await api.close(0);
  await pool.end();
});

const readiness = async (): Promise<unknown> => {
  const response = await fetch(`${api.url}/readyz`);
  return [response.status, await response.json()];
};

const told = (): unknown[] => log.lines().filter(({ msg }) => String(msg).includes('spillway migrate'));

it('is not ready on a database that is not migrated, says once what to do, and is ready after that', async () => {
  const notReady = [503, { errors: [{ field: 'postgres', detail: 'is not migrated: run spillway migrate' }] }];
  await expect.poll(readiness).toMatchObject(notReady);
  for (let probe = 0; probe < 5; probe += 1) expect(await readiness()).toMatchObject(notReady);
  await expect
    .poll(told)
    .toMatchObject([{ level: 50, msg: 'api: the database is not migrated: run spillway migrate' }]);
  expect(
    (
      await fetch(`${api.url}/v1/policies`, {
        headers: { Authorization: `Bearer sw_${'0'.repeat(32)}_${'a'.repeat(43)}` },
      })
    ).status,
  ).toBe(503);

  await migrate({ connectionString: postgres.url });
  await expect.poll(readiness).toMatchObject([200, { status: 'ready' }]);
  expect(told()).toHaveLength(1);
  // The keys are looked at by themselves twice a second.
  await expect.poll(() => log.text()).toContain('api: keys can be read again');
});

it('serves metrics on a port of their own when told to, and then nowhere else', async () => {
  expect(new URL(api.metricsUrl).port).not.toBe(new URL(api.url).port);
  const metrics = await fetch(api.metricsUrl);
  expect([metrics.status, await metrics.text()]).toEqual([
    200,
    expect.stringContaining('spillway_api_keys_age_seconds'),
  ]);
  expect((await fetch(`${api.url}/metrics`)).status).toBe(404);
  expect((await fetch(new URL('/v1/policies', api.metricsUrl))).status).toBe(404);
});
