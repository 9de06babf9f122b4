import { startRedis } from '@spillway/local-servers';
import { documentedRedisUser, redisLibraries, useRedis } from '@spillway/local-servers/testing';
import * as hotPath from '@spillway/redis';
import { hotPathOptions, type RedisClientOrUrl } from '@spillway/redis';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished, vi } from 'vitest';
import { fine, outcomeOf, quick } from '../../test/breakers.ts';
import type { Breakers } from './breaker.ts';
import { createBreakers } from './create-breakers.ts';

const redis = useRedis();

function clientOf(url: string, options: object = {}): Redis {
  const client = new Redis(url, { ...hotPathOptions, ...options });
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  return client;
}

function breakersOf(client: RedisClientOrUrl, namespace = ''): Breakers<'quick'> {
  const given = { presets: [quick()], deadlineMs: 5_000, onError: () => undefined, namespace };
  const breakers = createBreakers({ redis: client, ...given });
  onTestFinished(() => breakers.close());
  return breakers as Breakers<'quick'>;
}

const database = (number: number): string => {
  const url = new URL(redis.url);
  url.pathname = `/${number}`;
  return url.href;
};
const call = async (breakers: Breakers<'quick'>): Promise<unknown> => outcomeOf(breakers.run('a', 'quick', fine));

it('hear nothing of another database of the same Redis', async () => {
  const [production, staging, neighbour] = [0, 1, 1].map((number) => breakersOf(clientOf(database(number))));
  if (production === undefined || staging === undefined || neighbour === undefined) throw new Error('not three');
  await expect.poll(async () => [await call(production), await call(neighbour)]).toEqual(['fine', 'fine']);
  await staging.get('a', 'quick').forceOpen({ who: 'ada', why: 'staging only' });
  // The neighbour in the same database has heard, so the message has been sent to everybody who hears it.
  await expect.poll(() => neighbour.get('a', 'quick').state).toBe('forced_open');
  expect(await call(production)).toBe('fine');
  expect(await production.get('a', 'quick').read()).toMatchObject({ state: 'closed' });
});

it('are forced, and say so, for a user who may not use channels', async () => {
  await redis.client.call('ACL', 'SETUSER', 'quiet', 'on', '>pw', 'resetchannels', '~*', '+@all');
  const quiet = breakersOf(clientOf(redis.url, { username: 'quiet', password: 'pw' }));
  await expect.poll(() => call(quiet)).toBe('fine');
  await quiet.get('a', 'quick').forceOpen({ who: 'ada' });
  expect(quiet.get('a', 'quick').state).toBe('forced_open');
  const other = breakersOf(clientOf(redis.url));
  await expect.poll(async () => (await other.get('a', 'quick').read()).state).toBe('forced_open');
  await redis.client.call('ACL', 'DELUSER', 'quiet');
});

it.each(['', 'staging'] as const)(
  'need no more rights than the documented ACL rule gives, in namespace "%s"',
  async (namespace) => {
    await redis.client.call('ACL', 'SETUSER', 'app', ...(await documentedRedisUser('app', namespace)));
    await redis.client.call('ACL', 'LOG', 'RESET');
    onTestFinished(async () => void (await redis.client.call('ACL', 'DELUSER', 'app')));
    const [one, two] = [1, 2].map(() =>
      breakersOf(clientOf(redis.url, { username: 'app', password: 'pw' }), namespace),
    );
    if (one === undefined || two === undefined) throw new Error('not two');
    await expect.poll(async () => [await call(one), await call(two)]).toEqual(['fine', 'fine']);
    await one.get('a', 'quick').forceOpen({ who: 'ada' });
    await expect.poll(() => two.get('a', 'quick').state).toBe('forced_open');
    expect(await redis.client.call('ACL', 'LOG')).toEqual([]);
  },
);

it('connect a client that waits for its first command', async () => {
  const lazy = clientOf(redis.url, { lazyConnect: true });
  expect(lazy.status).toBe('wait');
  const breakers = breakersOf(lazy);
  await expect.poll(() => call(breakers)).toBe('fine');
  await expect.poll(() => lazy.status).toBe('ready');
});

it('leave a master that was demoted', async () => {
  const [old, next] = [await startRedis(), await startRedis()];
  onTestFinished(async () => void (await Promise.all([old.stop(), next.stop()])));
  const admin = clientOf(old.url);
  await expect.poll(() => admin.status).toBe('ready');
  const client = clientOf(old.url);
  const breakers = breakersOf(client);
  await expect.poll(() => call(breakers)).toBe('fine');
  const { port } = new URL(next.url);
  await admin.call('REPLICAOF', '127.0.0.1', port);
  let reconnects = 0;
  client.on('connect', () => (reconnects += 1));
  await expect
    .poll(async () => {
      await breakers
        .get('a', 'quick')
        .forceOpen({ who: 'ada' })
        .catch(() => undefined);
      return reconnects;
    })
    .toBeGreaterThan(0);
});

it.each(redisLibraries(hotPath))('hear of each other over $name', async (library) => {
  const connected = await Promise.all([library.connect(redis.url), library.connect(redis.url)]);
  onTestFinished(async () => void (await Promise.all(connected.map(({ end }) => end()))));
  const [one, other] = connected.map(({ client }) => breakersOf(client));
  if (one === undefined || other === undefined) throw new Error('not two');
  await expect.poll(async () => [await call(one), await call(other)]).toEqual(['fine', 'fine']);
  await one.get('a', 'quick').forceOpen({ who: 'ada', why: 'maintenance' });
  await expect.poll(() => other.get('a', 'quick').state).toBe('forced_open');
});

it('write nothing more on a client whose owner quits, so that the reply to QUIT is not lost', async () => {
  const client = clientOf(redis.url, { socketTimeout: 10_000 });
  const breakers = breakersOf(client);
  await expect.poll(() => client.status).toBe('ready');
  expect(await call(breakers)).toBe('fine');
  const sent = vi.spyOn(client, 'sendCommand');
  // For longer than beats and looks wait.
  await redis.client.client('PAUSE', 2_500, 'ALL');
  const quit = client.quit();
  await call(breakers);
  expect(await outcomeOf(breakers.run('b', 'quick', fine))).toBe('fine');
  expect(await quit).toBe('OK');
  const names = sent.mock.calls.map(([command]) => command.name);
  expect(names.slice(names.indexOf('quit'))).toEqual(['quit']);
});
