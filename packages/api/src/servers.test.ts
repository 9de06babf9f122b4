import { createApiKey, createPool, migrate } from '@spillway/db';
import { startRedisCluster, startRedisSentinel } from '@spillway/local-servers';
import { documentedRedisUser, usePostgres, useRedis } from '@spillway/local-servers/testing';
import { AUDIT_QUEUE } from '@spillway/worker';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { memoryLog, type MemoryLog, useMigratedDatabase } from '../test/use-api.ts';
import { type Api, startApi } from './start-api.ts';

const addresses = (nodes: readonly { readonly host: string; readonly port: number }[]): string =>
  nodes.map(({ host, port }) => `${host}:${port}`).join(',');

describe('Cluster and Sentinel', () => {
  const postgres = useMigratedDatabase();
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
});

describe('a Redis user of few rights', () => {
  const redis = useRedis();
  const postgres = useMigratedDatabase();

  it.each(['', 'staging'] as const)(
    'the API needs no more rights in Redis than the documented ACL rule gives, in namespace "%s"',
    async (namespace) => {
      await redis.client.call('ACL', 'SETUSER', 'api', ...(await documentedRedisUser('api', namespace)));
      await redis.client.call('ACL', 'LOG', 'RESET');
      onTestFinished(async () => void (await redis.client.call('ACL', 'DELUSER', 'api')));
      const url = new URL(redis.url);
      url.username = 'api';
      url.password = 'pw';
      const pool = createPool({ connectionString: postgres.url, onError: () => undefined });
      const { key } = await createApiKey(pool, { name: 'test', scopes: ['admin'] });
      const log = memoryLog('warn');
      const api = await startApi({
        redisUrl: url.href,
        namespace,
        pool,
        host: '127.0.0.1',
        port: 0,
        logger: log.logger,
        tracing: true,
      });
      onTestFinished(async () => {
        await api.close(0);
        await pool.end();
      });
      const ask = async (method: string, path: string, body?: unknown): Promise<[number, unknown]> => {
        const response = await fetch(`${api.url}${path}`, {
          method,
          headers: {
            Authorization: `Bearer ${key}`,
            ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const text = await response.text();
        return [
          response.status,
          response.headers.get('Content-Type')?.includes('json') === true ? JSON.parse(text) : text,
        ];
      };

      const consume = async (): Promise<unknown> => (await ask('POST', '/v1/limits/auth/consume', { subject: 'u' }))[1];
      await expect.poll(consume).toMatchObject({ reason: 'allowed' });
      await ask('POST', '/v1/limits/auth/block', { subject: 'u' });
      expect(await consume()).toMatchObject({ reason: 'blocked' });
      expect(await ask('POST', '/v1/limits/auth/unblock', { subject: 'u' })).toEqual([200, { wasBlocked: true }]);
      expect((await ask('PUT', '/v1/policies/auth/override', { subject: 'u', limit: 7 }))[0]).toBeLessThan(300);
      expect((await ask('GET', '/v1/policies'))[0]).toBe(200);
      expect((await ask('POST', '/v1/subjects/look-up', { subject: 'u' }))[0]).toBe(200);
      expect((await ask('GET', '/v1/breakers'))[0]).toBe(200);
      expect((await ask('POST', '/v1/maintenance/cron-create-partitions', {}))[0]).toBe(202);
      expect((await ask('GET', `/queues/api/queues?activeQueue=${AUDIT_QUEUE}&status=waiting`))[0]).toBe(200);
      expect((await fetch(`${api.url}/readyz`)).status).toBe(200);
      // The board asks which workers there are, and goes without: CLIENT LIST would tell the addresses of all clients.
      const denied = (await redis.client.call('ACL', 'LOG')) as readonly (readonly unknown[])[];
      expect(denied.map((entry) => entry[entry.indexOf('object') + 1])).toEqual(['client|list']);
    },
  );
});

describe('a database that is not migrated', () => {
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
});
