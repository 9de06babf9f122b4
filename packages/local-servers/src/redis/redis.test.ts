import { existsSync } from 'node:fs';
import { Cluster, Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { childrenOf } from '../process.ts';
import { type RedisCluster, startRedisCluster } from './start-redis-cluster.ts';
import { type RedisSentinelSet, startRedisSentinel } from './start-redis-sentinel.ts';
import { connectOnce, startRedis } from './start-redis.ts';

describe('startRedis', () => {
  test.each([[0], [1.5], [65_536], [-1], [Number.NaN]])('refuses port %s before anything is started', async (port) => {
    await expect(startRedis({ stack: 'local', port })).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringMatching(/^port must be .*, got /),
    });
  });

  test('hands arguments on, and they win', async () => {
    const server = await startRedis({ stack: 'local', args: ['--maxmemory', '12mb', '--appendonly', 'yes'] });
    onTestFinished(() => server.stop());
    const redis = connectOnce(server.host, server.port);
    onTestFinished(() => redis.disconnect());
    expect(await redis.config('GET', 'maxmemory')).toEqual(['maxmemory', String(12 * 1024 * 1024)]);
    expect(await redis.config('GET', 'appendonly')).toEqual(['appendonly', 'yes']);
  });

  test('listens on the loopback address only, and takes no snapshots', async () => {
    const server = await startRedis({ stack: 'local' });
    onTestFinished(() => server.stop());
    const redis = connectOnce(server.host, server.port);
    onTestFinished(() => redis.disconnect());
    expect(await redis.config('GET', 'bind')).toEqual(['bind', '127.0.0.1']);
    expect(await redis.config('GET', 'save')).toEqual(['save', '']);
  });

  test('tells what Redis said when it does not start, and leaves nothing behind', async () => {
    const failed = startRedis({ stack: 'local', args: ['--no-such-option', 'x'] });
    await expect(failed).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining('no-such-option'),
    });
  });

  test('leaves no directory and no process behind after a stop that follows a kill', async () => {
    const server = await startRedis({ stack: 'local' });
    const redis = connectOnce(server.host, server.port);
    const [, directory = ''] = (await redis.config('GET', 'dir')) as string[];
    redis.disconnect();
    expect(existsSync(directory)).toBe(true);
    const before = await childrenOf(process.pid);
    await server.kill();
    expect(server.pid).toBeUndefined();
    await server.stop();
    expect(existsSync(directory)).toBe(false);
    expect((await childrenOf(process.pid)).length).toBeLessThan(before.length);
  });

  test('many start at once, each on a port of its own', async () => {
    const servers = await Promise.all(Array.from({ length: 8 }, () => startRedis({ stack: 'local' })));
    onTestFinished(async () => void (await Promise.all(servers.map((server) => server.stop()))));
    expect(new Set(servers.map((server) => server.port)).size).toBe(8);
    expect(new Set(servers.map((server) => server.pid)).size).toBe(8);
  });
});

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

describe('startRedisSentinel', () => {
  let set: RedisSentinelSet;

  beforeAll(async () => {
    set = await startRedisSentinel();
  });
  afterAll(async () => {
    await set?.stop();
  });

  test('a client finds the master through the sentinels, and its successor after the master is killed', async () => {
    const first = await set.master();
    expect(first.port).toBe(set.nodes[0]?.port);
    const redis = new Redis({
      sentinels: set.sentinels.map(({ host, port }) => ({ host, port })),
      name: set.name,
      sentinelRetryStrategy: () => 100,
      retryStrategy: () => 100,
    });
    redis.on('error', () => {});
    onTestFinished(() => redis.disconnect());
    await redis.set('key', 'kept');
    expect(await redis.wait(2, 5000)).toBe(2);
    await set.nodes[0]?.kill();
    await expect.poll(async () => (await set.master()).port, { timeout: 25_000, interval: 100 }).not.toBe(first.port);
    await expect.poll(() => redis.set('key', 'changed').catch(() => 'not yet'), { timeout: 15_000 }).toBe('OK');
  });

  test.each([
    [{ replicas: 0 }, 'replicas'],
    [{ sentinels: 0 }, 'sentinels'],
    [{ downAfterMs: 10 }, 'downAfterMs'],
    [{ name: 'two words' }, 'name'],
  ])('refuses %j and names the option', async (options, name) => {
    await expect(startRedisSentinel(options)).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining(name),
    });
  });
});
