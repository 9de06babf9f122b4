import { type RedisCluster, type RedisServer, startRedis, startRedisCluster } from '@spillway/local-servers';
import { Cluster, Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { hotPathOptions } from './client.ts';
import { type HotPathClient, subscribe, type Subscription } from './subscribe.ts';

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

function listen(client: HotPathClient): { heard: string[]; stood: number[]; subscription: Subscription } {
  const heard: string[] = [];
  const stood: number[] = [];
  const subscription = subscribe({
    client,
    channels: ['news'],
    onMessage: (message, channel) => heard.push(`${channel}: ${message}`),
    onSubscribed: () => stood.push(stood.length),
  });
  open.push(subscription);
  return { heard, stood, subscription };
}

describe('subscribe', () => {
  let server: RedisServer;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url, hotPathOptions);
    redis.on('error', () => undefined);
    await new Promise((resolve) => redis.once('ready', resolve));
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  it('hears what is published, over a connection of its own', async () => {
    const { heard, subscription } = listen(redis);
    await expect.poll(() => subscription.isLive).toBe(true);
    await redis.publish('news', 'one');
    await expect.poll(() => heard).toEqual(['news: one']);
  });

  it('stands again after Redis was restarted, and says so', async () => {
    const { heard, stood, subscription } = listen(redis);
    await expect.poll(() => subscription.isLive).toBe(true);
    await server.kill();
    await expect.poll(() => subscription.isLive).toBe(false);
    await server.restart();
    await expect.poll(() => stood.length).toBe(2);
    await expect.poll(() => redis.status).toBe('ready');
    await redis.publish('news', 'back');
    await expect.poll(() => heard).toEqual(['news: back']);
  });

  it('subscribes once for each connection, so that no command is sent that nobody waits for', async () => {
    const { stood } = listen(redis);
    await expect.poll(() => stood.length).toBe(1);
    await redis.call('CONFIG', 'RESETSTAT');
    await redis.client('KILL', 'TYPE', 'PUBSUB');
    await expect.poll(() => stood.length).toBe(2);
    expect(await redis.info('commandstats')).toMatch(/cmdstat_subscribe:calls=1,/);
  });

  it('connects by itself when the client it is made of connects lazily', async () => {
    const lazy = new Redis(server.url, { ...hotPathOptions, lazyConnect: true });
    const { heard, subscription } = listen(lazy);
    await expect.poll(() => subscription.isLive).toBe(true);
    await redis.publish('news', 'one');
    await expect.poll(() => heard).toEqual(['news: one']);
    lazy.disconnect();
  });

  it('ends with the client that it was made of, and stands again with it', async () => {
    const client = new Redis(server.url, hotPathOptions);
    client.on('error', () => undefined);
    const { heard, subscription } = listen(client);
    await expect.poll(() => subscription.isLive).toBe(true);
    await client.quit();
    await expect.poll(() => subscription.isLive).toBe(false);
    await expect.poll(async () => (await redis.pubsub('NUMSUB', 'news'))[1]).toBe(0);
    await client.connect();
    await expect.poll(() => subscription.isLive).toBe(true);
    await redis.publish('news', 'again');
    await expect.poll(() => heard).toEqual(['news: again']);
    client.disconnect();
  });

  it('opens nothing for a client that has ended, and leaves no listener on one once it is closed', async () => {
    const client = new Redis(server.url, hotPathOptions);
    client.on('error', () => undefined);
    const before = [client.listenerCount('end'), client.listenerCount('ready')];
    const { subscription } = listen(client);
    await expect.poll(() => subscription.isLive).toBe(true);
    subscription.close();
    expect([client.listenerCount('end'), client.listenerCount('ready')]).toEqual(before);
    client.disconnect();
    await expect.poll(() => client.status).toBe('end');
    expect(listen(client).subscription.isLive).toBe(false);
    await expect.poll(async () => (await redis.pubsub('NUMSUB', 'news'))[1]).toBe(0);
  });

  it('is silent once closed', async () => {
    const { heard, subscription } = listen(redis);
    await expect.poll(() => subscription.isLive).toBe(true);
    subscription.close();
    await redis.publish('news', 'too late');
    expect(heard).toEqual([]);
    expect(subscription.isLive).toBe(false);
  });
});

describe('subscribe on a Cluster', () => {
  let servers: RedisCluster;
  let cluster: Cluster;
  beforeAll(async () => {
    servers = await startRedisCluster();
    cluster = new Cluster(servers.nodes.map(({ host, port }) => ({ host, port })));
  });
  afterAll(async () => {
    cluster.disconnect();
    await servers.stop();
  });

  it('hears what any node publishes', async () => {
    const { heard, subscription } = listen(cluster);
    await expect.poll(() => subscription.isLive).toBe(true);
    for (const node of cluster.nodes('master')) await node.publish('news', 'one');
    await expect.poll(() => heard).toEqual(['news: one', 'news: one', 'news: one']);
  });
});
