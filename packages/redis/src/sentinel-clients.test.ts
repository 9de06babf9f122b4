import { startRedisSentinel } from '@spillway/local-servers';
import { redisLibraries } from '@spillway/local-servers/testing';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { call } from './command.ts';
import { redisFault } from './fault.ts';
import * as hotPath from './index.ts';
import { type RedisClientOrUrl, readRedisOption } from './redis-option.ts';
import { type HotPathClient, subscribe } from './subscribe.ts';

function optionOf(client: RedisClientOrUrl): HotPathClient {
  const option = readRedisOption(client);
  if (typeof option === 'string') throw new Error(option);
  onTestFinished(() => option.release());
  return option.client;
}

describe.each(redisLibraries(hotPath))('a Sentinel client of $name', ({ connectToSentinel }) => {
  it('sends once what its connection was lost with, whether or not it ran', { timeout: 60_000 }, async () => {
    const set = await startRedisSentinel();
    onTestFinished(() => set.stop());
    const connected = await connectToSentinel(set);
    onTestFinished(() => connected.end());
    const client = optionOf(connected.client);
    const { host, port } = await set.master();
    const master = new Redis({ host, port });
    onTestFinished(() => master.disconnect());
    await expect.poll(() => client.status, { timeout: 20_000 }).toBe('ready');
    await call(client, 'PING', []);
    // From here on the server does what it is told and answers nothing, until the connection is cut.
    const silent = call(client, 'CLIENT', ['REPLY', 'OFF']).catch(redisFault);
    const lost = Array.from({ length: 5 }, () => call(client, 'INCR', ['{t}ran'], '{t}ran').catch(redisFault));
    await expect.poll(() => master.get('{t}ran'), { timeout: 20_000 }).toBe('5');
    await master.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'yes');
    for (const fault of await Promise.all([silent, ...lost])) expect(fault).toMatchObject({ code: 'connection_lost' });
    await expect.poll(() => call(client, 'PING', []).catch(() => undefined), { timeout: 20_000 }).toBeDefined();
    expect(await master.get('{t}ran')).toBe('5');
  });
});

describe.each(redisLibraries(hotPath))('a Sentinel client of $name', ({ connectToSentinel }) => {
  it('writes commands that are given together at once, not each when the one before is answered', async () => {
    const set = await startRedisSentinel({ downAfterMs: 60_000 });
    onTestFinished(() => set.stop());
    const connected = await connectToSentinel(set);
    onTestFinished(() => connected.end());
    const client = optionOf(connected.client);
    await expect.poll(() => client.status).toBe('ready');
    // The sentinels tell of each other and of replicas for a while, and the client looks at the set again each time.
    await expect
      .poll(async () => {
        const slow = call(client, 'BLPOP', ['{t}none', '0.3'], '{t}none');
        const counts = Array.from({ length: 5 }, () => call(client, 'INCR', ['{t}n'], '{t}n'));
        return Promise.all([slow, ...counts]).then(
          ([first, ...others]) => [first, others.length],
          (error) => redisFault(error).code,
        );
      })
      .toEqual([null, 5]);
  });
});

describe.each(redisLibraries(hotPath))('a subscription over a Sentinel client of $name', ({ connectToSentinel }) => {
  it('hears what is published, is silent once closed, and leaves the client to its owner', async () => {
    const set = await startRedisSentinel();
    onTestFinished(() => set.stop());
    const connected = await connectToSentinel(set);
    onTestFinished(() => connected.end());
    const client = optionOf(connected.client);
    const listeners = (): number => ['ready', 'end', 'error', 'topology-change'].reduce(countOf, 0);
    const countOf = (sum: number, event: string): number => sum + connected.client.listenerCount(event as never);
    const before = listeners();
    const heard: string[] = [];
    const [one, other] = ['one', 'other'].map((name) =>
      subscribe({
        client,
        channels: ['news'],
        onMessage: (message) => heard.push(`${name}: ${message}`),
        onSubscribed: () => undefined,
      }),
    );
    await expect.poll(() => [one?.isLive, other?.isLive]).toEqual([true, true]);
    await call(client, 'PUBLISH', ['news', 'grüß']);
    await expect.poll(() => heard.toSorted()).toEqual(['one: grüß', 'other: grüß']);
    one?.close();
    await expect.poll(async () => (await call(client, 'PUBLISH', ['news', 'more']), heard.at(-1))).toBe('other: more');
    other?.close();
    await expect.poll(listeners).toBe(before);
    expect(heard.filter((each) => each.startsWith('one'))).toEqual(['one: grüß']);
    expect(client.status).toBe('ready');
    expect(await call(client, 'PING', [])).toEqual(Buffer.from('PONG'));
  });
});
