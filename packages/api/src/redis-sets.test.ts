import { createApiKey, createPool, migrate } from '@spillway/db';
import { startRedisCluster, startRedisSentinel } from '@spillway/local-servers';
import { usePostgres } from '@spillway/local-servers/testing';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { type Api, startApi } from './start-api.ts';
import { memoryLog } from '../test/use-api.ts';

const postgres = usePostgres({
  scope: 'test',
  template: 'spillway_db',
  migrate: async (connectionString) => void (await migrate({ connectionString })),
});
let pool: ReturnType<typeof createPool>;
let key: string;
beforeEach(async () => {
  pool = createPool({ connectionString: postgres.url, onError: () => undefined });
  key = (await createApiKey(pool, { name: 'test', scopes: ['admin'] })).key;
});

async function started(redisUrl: string): Promise<Api> {
  const { logger } = memoryLog();
  const api = await startApi({ redisUrl, pool, host: '127.0.0.1', port: 0, logger });
  onTestFinished(async () => {
    await api.close(0);
    await pool.end();
  });
  await expect.poll(async () => (await fetch(`${api.url}/readyz`)).status, { timeout: 20_000 }).toBe(200);
  return api;
}

async function send({ url }: Api, method: string, path: string, body: unknown): Promise<Record<string, unknown>> {
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' };
  const response = await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) });
  return (await response.json()) as Record<string, unknown>;
}

const addresses = (nodes: readonly { readonly host: string; readonly port: number }[]): string =>
  nodes.map(({ host, port }) => `${host}:${port}`).join(',');

/** Subjects of several shards: 10 requests pass, the 11th is refused; then a policy and a breaker are moved. */
async function decides(api: Api): Promise<unknown> {
  const consume = async (subject: string): Promise<unknown> =>
    (await send(api, 'POST', '/v1/limits/strict/consume', { subject }))['reason'];
  // A Cluster's nodes are connected to as they are needed.
  await expect.poll(() => consume('warm-up'), { timeout: 10_000 }).toBe('allowed');
  for (const subject of ['ann', 'bob', 'eve']) {
    for (let request = 0; request < 10; request += 1) expect(await consume(subject)).toBe('allowed');
    expect(await consume(subject)).toBe('blocked');
  }
  expect(await send(api, 'PUT', '/v1/policies/exports', { limit: 1, windowMs: 60_000 })).toMatchObject({ limit: 1 });
  const change = { mode: 'forced_open', why: 'drill' };
  const force = async (): Promise<unknown> =>
    (await send(api, 'PUT', '/v1/breakers/s3?preset=storage', change))['fleetState'];
  await expect.poll(force, { timeout: 10_000 }).toBe('forced_open');
  return consume('ann');
}

it('decides in a Redis Cluster that its URL names', { timeout: 120_000 }, async () => {
  const cluster = await startRedisCluster();
  onTestFinished(() => cluster.stop());
  expect(await decides(await started(`redis-cluster://${addresses(cluster.nodes)}`))).toBe('blocked');
});

it('decides at the master that sentinels name, and at its successor', { timeout: 120_000 }, async () => {
  const set = await startRedisSentinel();
  onTestFinished(() => set.stop());
  const api = await started(`redis-sentinel://${addresses(set.sentinels)}/${set.name}`);
  expect(await decides(api)).toBe('blocked');
  await set.nodes[0]?.kill();
  const consume = async (): Promise<unknown> =>
    (await send(api, 'POST', '/v1/limits/standard/consume', { subject: 'ann' }))['reason'];
  await expect.poll(consume, { timeout: 60_000, interval: 200 }).toBe('allowed');
});
