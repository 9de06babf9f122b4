import { startRedisCluster, startRedisSentinel } from '@spillway/local-servers';
import { useRedis } from '@spillway/local-servers/testing';
import { Cluster, type Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { hotPathBehaviour, openRedis } from './ioredis.ts';
import { parseRedisUrl } from './redis-url.ts';

describe('parseRedisUrl', () => {
  it.each([
    ['redis://me:s3cret@cache/1', { kind: 'server', url: 'redis://me:s3cret@cache/1' }],
    [
      'redis-cluster://a,b:7000',
      {
        kind: 'cluster',
        nodes: [
          { host: 'a', port: 6_379 },
          { host: 'b', port: 7_000 },
        ],
        tls: false,
      },
    ],
    [
      'rediss-cluster://me:s%40cret@[::1]:7000',
      { kind: 'cluster', nodes: [{ host: '::1', port: 7_000 }], tls: true, username: 'me', password: 's@cret' },
    ],
    [
      'redis-sentinel://:s3cret@a,b:26380/main.1/2',
      {
        kind: 'sentinel',
        sentinels: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 26_380 },
        ],
        name: 'main.1',
        db: 2,
        tls: false,
        password: 's3cret',
      },
    ],
    [
      'rediss-sentinel://a/main',
      { kind: 'sentinel', sentinels: [{ host: 'a', port: 26_379 }], name: 'main', db: 0, tls: true },
    ],
  ])('reads %s', (url, target) => {
    expect(parseRedisUrl(url)).toEqual(target);
  });

  it.each([
    'localhost:6379',
    'redis://',
    'http://a',
    'redis-cluster://',
    'redis-cluster://a,',
    'redis-cluster://a/0',
    'redis-cluster://a:70000',
    'redis-cluster://a:x',
    'redis-sentinel://a',
    'redis-sentinel://a/',
    'redis-sentinel://a/main/x',
    'redis-sentinel://a b/main',
    'redis-cluster://me:%zz@a',
    'redis://me:%zz@a',
    'redis://me:12#3@a',
    'redis://a#b',
    'redis://a/x',
    'redis://a/-1',
    'rediss://a/1.5',
    'redis://a/1/2',
    'redis://a/NaN',
    'redis://a?db=x',
    'redis://a?db=',
  ])('makes nothing of %j', (url) => {
    expect(parseRedisUrl(url)).toBeUndefined();
  });
});

const redis = useRedis();
const connected = { timeout: 20_000 };

function opened(url: string): Redis | Cluster {
  const client = openRedis(url, hotPathBehaviour('opened'));
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  return client;
}

async function works(client: Redis | Cluster): Promise<void> {
  await expect.poll(() => client.status, connected).toBe('ready');
  await client.set('{spillway}:opened', '1');
  expect(await client.get('{spillway}:opened')).toBe('1');
}

it('opens a server, which is asked once and at once', async () => {
  const client = opened(redis.url);
  await works(client);
  expect(await client.client('GETNAME')).toBe('opened');
  expect(client.options).toMatchObject({ enableOfflineQueue: false });
});

it('opens a Cluster by some of its nodes', { timeout: 120_000 }, async () => {
  const cluster = await startRedisCluster();
  onTestFinished(() => cluster.stop());
  const client = opened(`redis-cluster://${cluster.nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`);
  await works(client);
  expect(client).toBeInstanceOf(Cluster);
  expect(client.options).toMatchObject({ retryDelayOnFailover: 0, redisOptions: { maxRetriesPerRequest: 0 } });
});

it('opens the master that sentinels know', { timeout: 120_000 }, async () => {
  const set = await startRedisSentinel();
  onTestFinished(() => set.stop());
  const nodes = set.sentinels.map(({ host, port }) => `${host}:${port}`).join(',');
  const client = opened(`redis-sentinel://${nodes}/${set.name}`);
  await works(client);
  expect(client.options).toMatchObject({ name: set.name, maxRetriesPerRequest: 0 });
});

it('gives user, password and TLS to every node', () => {
  const client = openRedis('rediss-cluster://ann:s3cr%40t@127.0.0.1:1', { server: {}, cluster: { lazyConnect: true } });
  expect(client.options).toMatchObject({ redisOptions: { username: 'ann', password: 's3cr@t', tls: {} } });
  const master = openRedis('rediss-sentinel://:pw@127.0.0.1:1/m/2', { server: { lazyConnect: true }, cluster: {} });
  expect(master.options).toMatchObject({ password: 'pw', db: 2, tls: {}, enableTLSForSentinelMode: true });
});

it('refuses another URL, and does not repeat it', () => {
  expect(() => openRedis('http://:secret@127.0.0.1', hotPathBehaviour())).toThrow(
    'option "url" must be a redis://, redis-cluster:// or redis-sentinel:// URL, got "(hidden)"',
  );
});
