import { createApiKey, createPool, migrate } from '@spillway/db';
import { documentedRedisUser, usePostgres, useRedis } from '@spillway/local-servers/testing';
import { AUDIT_QUEUE } from '@spillway/worker';
import { expect, it, onTestFinished } from 'vitest';
import { startApi } from './start-api.ts';
import { memoryLog } from '../test/use-api.ts';

const redis = useRedis();
const postgres = usePostgres({
  template: 'spillway_db',
  migrate: async (connectionString) => void (await migrate({ connectionString })),
});

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
