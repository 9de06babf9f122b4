import { Cluster } from 'ioredis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startRedisCluster, type RedisCluster } from './start-redis-cluster.ts';
import { connectOnce } from './start-redis.ts';

describe('startRedisCluster', () => {
  let cluster: RedisCluster;
  let client: Cluster;

  beforeAll(async () => {
    cluster = await startRedisCluster({ replicasPerMaster: 1 });
    client = new Cluster(
      cluster.nodes.map(({ host, port }) => ({ host, port })),
      { clusterRetryStrategy: () => 100, retryDelayOnFailover: 100 },
    );
    client.on('error', () => {});
  });
  afterAll(async () => {
    client?.disconnect();
    await cluster?.stop();
  });

  test('has three masters and a replica for each', () => {
    expect(cluster.nodes.map(({ role }) => role)).toEqual([
      'master',
      'master',
      'master',
      'replica',
      'replica',
      'replica',
    ]);
    expect(cluster.urls).toEqual(cluster.nodes.map(({ host, port }) => `redis://${host}:${port}`));
  });

  test('serves every part of the slots', async () => {
    const keys = Array.from({ length: 100 }, (_, index) => `key-${index}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    expect(await Promise.all(keys.map((key) => client.get(key)))).toEqual(keys);
    const sizes = await Promise.all(client.nodes('master').map((node) => node.dbsize()));
    expect(sizes).toHaveLength(3);
    expect(Math.min(...sizes)).toBeGreaterThan(0);
  });

  test('a replica takes over from a master that is frozen', async () => {
    // Slot 0 … belongs to the first master; {06S} is the shortest tag that falls into slot 0.
    expect(await client.cluster('KEYSLOT', '{06S}')).toBe(0);
    await client.set('{06S}', 'before');
    const [master, , , replica] = cluster.nodes;
    await master?.pause();
    // Asked directly: ioredis only looks for a new master when the old one closes its connections.
    const heir = connectOnce('127.0.0.1', replica?.port ?? 0);
    onTestFinished(() => heir.disconnect());
    await expect
      .poll(() => heir.set('{06S}', 'after').catch((error: Error) => error.message), { timeout: 25_000, interval: 200 })
      .toBe('OK');
    await master?.resume();
    // The former master comes back as a replica of its heir.
    await expect.poll(() => heir.info('replication'), { timeout: 15_000 }).toContain('connected_slaves:1');
  });

  test.each([
    [{ masters: 0 }, 'masters'],
    [{ masters: 2.5 }, 'masters'],
    [{ replicasPerMaster: -1 }, 'replicasPerMaster'],
    [{ nodeTimeoutMs: 1 }, 'nodeTimeoutMs'],
  ])('refuses %j and names the option', async (options, name) => {
    await expect(startRedisCluster(options)).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining(name),
    });
  });

  test('of a single master tells clients where it is', async () => {
    const alone = await startRedisCluster({ masters: 1 });
    onTestFinished(() => alone.stop());
    const connected = new Cluster(alone.nodes.map(({ host, port }) => ({ host, port })));
    onTestFinished(() => connected.disconnect());
    expect(await connected.set('key', 'value')).toBe('OK');
  });

  test('cannot be made of servers of somebody else', async () => {
    await expect(startRedisCluster({ stack: 'external' })).rejects.toMatchObject({ code: 'not_supported' });
  });
});
