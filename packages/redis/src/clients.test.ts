import { type RedisCluster, type RedisServer, startRedis, startRedisCluster } from '@spillway/local-servers';
import { redisLibraries } from '@spillway/local-servers/testing';
import { Redis } from 'ioredis';
import { createClient, createClientPool } from 'redis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { call, hashSlot } from './command.ts';
import { connectionOf } from './connection.ts';
import { RedisFault, redisFault } from './fault.ts';
import * as hotPath from './index.ts';
import { type RedisClientOrUrl, readRedisOption } from './redis-option.ts';
import { defineScript, EncodedArgument } from './script.ts';
import { type HotPathClient, subscribe } from './subscribe.ts';
import { luaScript } from '../test/lua-script.ts';

let server: RedisServer;
let cluster: RedisCluster;
let admin: Redis;
beforeAll(async () => {
  [server, cluster] = await Promise.all([startRedis(), startRedisCluster()]);
  admin = new Redis(server.url);
  admin.on('error', () => undefined);
});
beforeEach(() => admin.flushall());
afterAll(async () => {
  admin.disconnect();
  await Promise.all([server.stop(), cluster.stop()]);
});

function optionOf(client: RedisClientOrUrl): HotPathClient {
  const option = readRedisOption(client);
  if (typeof option === 'string') throw new Error(option);
  onTestFinished(() => option.release());
  return option.client;
}

const shapes = redisLibraries(hotPath).flatMap(({ name, connect, connectToCluster }) => [
  { name: `${name}, server`, connect: () => connect(server.url) },
  { name: `${name}, Cluster`, connect: () => connectToCluster(cluster) },
]);

describe.each(shapes)('a client of $name', ({ connect }) => {
  async function opened(): Promise<HotPathClient> {
    const connected = await connect();
    onTestFinished(() => connected.end());
    return optionOf(connected.client);
  }

  it('runs a script by its source once, then by its hash, and gives bytes as they are', async () => {
    const client = await opened();
    await call(client, 'DEL', ['{t}Grüße'], '{t}Grüße');
    const source = String.raw`redis.call('INCR', KEYS[1]) return { KEYS[1], ARGV[1], ARGV[2], '\255\0', 7, false }`;
    const script = defineScript(luaScript(`${source} -- ${Math.random()}`), (reply) => reply);
    const bytes = Buffer.from([0, 13, 10, 128, 255]);
    for (let time = 1; time <= 2; time += 1) {
      const reply = await script.run(client, ['{t}Grüße'], [`日本${time}`, new EncodedArgument(bytes)]);
      expect(reply).toEqual([
        Buffer.from('{t}Grüße'),
        Buffer.from(`日本${time}`),
        bytes,
        Buffer.from([255, 0]),
        7,
        null,
      ]);
      expect(await call(client, 'GET', ['{t}Grüße'], '{t}Grüße')).toEqual(Buffer.from(String(time)));
    }
  });

  it('gives error answers of Redis as faults, and does not send again what failed', async () => {
    const client = await opened();
    await call(client, 'DEL', ['{t}fails'], '{t}fails');
    const script = defineScript(luaScript("redis.call('INCR', KEYS[1]) return redis.error_reply('OOM full')"), Number);
    const failed = await script.run(client, ['{t}fails'], []).catch(redisFault);
    expect(failed).toMatchObject({ code: 'out_of_memory' });
    expect(await call(client, 'GET', ['{t}fails'], '{t}fails')).toEqual(Buffer.from('1'));
    expect(await call(client, 'NOSUCH', []).catch(redisFault)).toMatchObject({ code: 'unknown_command' });
  });

  it('hears what is published, and is silent once closed', async () => {
    const client = await opened();
    const heard: string[] = [];
    const { isLive, ...subscription } = subscribe({
      client,
      channels: ['news', 'other'],
      onMessage: (message, channel) => heard.push(`${channel}: ${message}`),
      onSubscribed: () => void call(client, 'PUBLISH', ['news', 'grüß']),
    });
    expect(isLive).toBe(false);
    await expect.poll(() => heard).toEqual(['news: grüß']);
    subscription.close();
    await call(client, 'PUBLISH', ['other', 'late']);
    expect(heard).toHaveLength(1);
  });
});

/** Connections that listen, of the server and of each master. */
async function listening(): Promise<number> {
  const masters = [admin, ...cluster.nodes.map(({ host, port }) => new Redis({ host, port }))];
  try {
    const lists = await Promise.all(masters.map((master) => master.client('LIST', 'TYPE', 'PUBSUB')));
    return String(lists).split('id=').length - 1;
  } finally {
    for (const master of masters.slice(1)) master.disconnect();
  }
}

describe.each(shapes)('a subscription over $name', ({ connect }) => {
  it('that is closed while its connection is being made leaves none open', async () => {
    const connected = await connect();
    onTestFinished(() => connected.end());
    const client = optionOf(connected.client);
    for (let turns = 0; turns < 60; turns += 1) {
      const { close } = subscribe({
        client,
        channels: ['news'],
        onMessage: () => undefined,
        onSubscribed: () => undefined,
      });
      for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      close();
    }
    await expect.poll(listening).toBe(0);
  });
});

describe.each(shapes.filter(({ name }) => name.startsWith('node-redis')))('a client of $name', ({ connect }) => {
  it('is told to have ended when its owner ended it', async () => {
    const connected = await connect();
    const client = optionOf(connected.client);
    expect(client.status).toBe('ready');
    await connected.end();
    await expect.poll(() => client.status).toBe('end');
    expect(connectionOf(client).fault).toMatchObject({ code: 'client_ended' });
    await expect(call(client, 'PING', [])).rejects.toThrow('Redis cannot be reached');
    expect(readRedisOption(connected.client)).toBe('is a client that was ended: make a new one');
  });
});

describe.each(redisLibraries(hotPath))('a subscription over $name', ({ connect }) => {
  it('stands again after its connection was lost, and says so', async () => {
    const connected = await connect(server.url);
    onTestFinished(() => connected.end());
    const heard: string[] = [];
    let stood = 0;
    const subscription = subscribe({
      client: optionOf(connected.client),
      channels: ['news'],
      onMessage: (message) => heard.push(message),
      onSubscribed: () => void (stood += 1),
    });
    onTestFinished(() => subscription.close());
    await expect.poll(() => subscription.isLive).toBe(true);
    await admin.client('KILL', 'TYPE', 'PUBSUB');
    await expect.poll(() => stood).toBe(2);
    await admin.publish('news', 'back');
    await expect.poll(() => heard).toEqual(['back']);
  });
});

describe('node-redis', () => {
  it('has its connection left when the server cannot write any more', async () => {
    const client = createClient({ url: server.url, ...hotPath.nodeRedisOptions });
    client.on('error', () => undefined);
    await client.connect();
    onTestFinished(() => client.destroy());
    const before = Number(await client.sendCommand(['CLIENT', 'ID']));
    await admin.replicaof('127.0.0.1', '1');
    onTestFinished(async () => void (await admin.replicaof('NO', 'ONE')));
    const ours = optionOf(client);
    expect(await call(ours, 'SET', ['a', '1'], 'a').catch(redisFault)).toMatchObject({ code: 'read_only' });
    await expect.poll(() => ours.status).toBe('ready');
    expect(Number(await client.sendCommand(['CLIENT', 'ID']))).toBeGreaterThan(before);
  });

  it('that was not connected says so', () => {
    const client = optionOf(createClient({ url: server.url }));
    expect(client.status).toBe('wait');
    expect(connectionOf(client).fault.message).toBe('Redis cannot be reached (connect() of the client was not called)');
  });

  it('has its database in the names of channels', () => {
    expect(hotPath.channelOf(optionOf(createClient({ url: server.url, database: 3 })), 'a')).toBe('spillway:3:a');
    expect(hotPath.channelOf(optionOf(createClient({ url: `${server.url}/2` })), 'a')).toBe('spillway:2:a');
  });

  it('is one client for all who use it', () => {
    const client = createClient();
    expect(optionOf(client)).toBe(optionOf(client));
  });

  it.each([
    [createClient({ keyPrefix: 'app:' }), /^has the option keyPrefix/u],
    [createClientPool(), /^is a pool of node-redis/u],
    [{ isOpen: true, isReady: true, sendCommand: async () => undefined }, /^is a client of node-redis 4 or older/u],
    [{ customCommand: async () => undefined }, /not a client of Valkey GLIDE/u],
    [{ createScript: () => undefined }, /^is a client of @upstash\/redis, which sends again what may have run/u],
    [{}, /^must be a client of ioredis or node-redis, or a URL, not an object of class Object/u],
  ])('refuses what cannot decide %#', (value, problem) => {
    expect(readRedisOption(value)).toMatch(problem);
  });
});

describe('a URL', () => {
  it.each([
    ['/3', 3],
    ['?db=2', 2],
    ['', 0],
  ])('that ends in %j is of database %i', (end, db) => {
    const client = optionOf(`${server.url}${end}`);
    expect(hotPath.channelOf(client, 'a')).toBe(`spillway:${db}:a`);
  });

  it('that cannot be read, or has a prefix for keys, is refused', () => {
    expect(readRedisOption('redis://a b')).toMatch(/^must be a URL that begins with/u);
    expect(readRedisOption(`${server.url}?keyPrefix=app`)).toMatch(/^has the option keyPrefix/u);
  });
});

it('finds the slots that Redis finds', async () => {
  const node = cluster.nodes[0];
  const client = new Redis({ host: node?.host ?? '', port: node?.port ?? 0 });
  onTestFinished(() => client.disconnect());
  for (const key of ['', 'a', '{sw:07}:x', 'x{}y', '{}{a}', 'a{b', 'grüße{日本}', '{{a}}', '123456789'])
    expect([key, hashSlot(key)]).toEqual([key, await client.cluster('KEYSLOT', key)]);
});

it('names a Cluster whose node is asked by a client of one server', async () => {
  const [node] = cluster.nodes;
  const client = new Redis({ host: node?.host ?? '', port: node?.port ?? 0 });
  onTestFinished(() => client.disconnect());
  const foreign = ['{a}', '{b}', '{c}', '{d}', '{e}', '{f}'].map((key) => client.get(key).catch(redisFault));
  const codes = (await Promise.all(foreign)).map((fault) => (fault instanceof RedisFault ? fault.code : 'answered'));
  expect(new Set(codes)).toEqual(new Set(['answered', 'cluster_client_needed']));
});
