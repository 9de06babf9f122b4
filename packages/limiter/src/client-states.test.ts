import { startRedis } from '@spillway/local-servers';
import { documentedRedisUser, redisLibraries, useRedis } from '@spillway/local-servers/testing';
import * as hotPath from '@spillway/redis';
import { hotPathOptions, type RedisFault } from '@spillway/redis';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createLimiter } from './limiter/create-limiter.ts';
import type { Limiter } from './limiter/limiter.ts';
import { definePolicy } from './policy.ts';
import { memoryStore } from './store/memory-store.ts';

const POLL = { timeout: 15_000, interval: 20 };
const policies = [definePolicy({ name: 'p', limit: 1, windowMs: 600_000 })] as const;
const redis = useRedis();

function limiterOf(client: Redis | string, told: RedisFault[] = []): Limiter<'p'> {
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 1_000, onError: (error) => told.push(error) });
  onTestFinished(() => limiter.close());
  return limiter;
}

function clientOf(url: string, options: object = {}): Redis {
  const client = new Redis(url, { ...hotPathOptions, ...options });
  onTestFinished(() => client.disconnect());
  return client;
}

const make = (options: object) => (): unknown => createLimiter({ policies, ...options } as never);

const reasonOf = async (limiter: Limiter<'p'>): Promise<string> => (await limiter.consume('p', 'u')).reason;

it('connects a lazy client with the first decision', async () => {
  const client = clientOf(redis.url, { lazyConnect: true });
  const limiter = limiterOf(client);
  expect(client.status).toBe('wait');
  await expect.poll(() => reasonOf(limiter), POLL).toBe('limited');
});

it('takes a URL, and ends its connection when it is closed', async () => {
  const limiter = createLimiter({ redis: redis.url, policies });
  await expect.poll(() => reasonOf(limiter), POLL).toBe('limited');
  await limiter.close();
  await expect
    .poll(
      async () =>
        String(await redis.client.client('LIST'))
          .split('\n')
          .filter(Boolean).length,
      POLL,
    )
    .toBe(1);
});

it('decides over a client with enableAutoPipelining, live policies included', async () => {
  const client = clientOf(redis.url, { enableAutoPipelining: true });
  const limiter = createLimiter({ redis: client, policies, live: true });
  onTestFinished(() => limiter.close());
  await expect.poll(() => reasonOf(limiter), POLL).toBe('limited');
  await limiter.live.deny('v');
  expect((await limiter.consume('p', 'v')).reason).toBe('deny_listed');
});

it.each([
  ['a client of node-redis', { isOpen: true, isReady: true, sendCommand: () => undefined }],
  ['a client of @upstash/redis', { createScript: () => undefined, pipeline: () => undefined }],
  ['a client of Valkey GLIDE', { customCommand: () => undefined }],
  ['an array', []],
  ['undefined', undefined],
  ['begins with redis://', 'localhost:6379'],
])('refuses %s as redis and says so', (what, value) => {
  expect(make({ redis: value })).toThrow(expect.objectContaining({ code: 'invalid_input', field: 'redis' }));
  expect(make({ redis: value })).toThrow(what);
});

it('refuses a client with keyPrefix, one that was ended, and redis together with store', async () => {
  expect(make({ redis: clientOf(redis.url, { keyPrefix: 'app:' }) })).toThrow('redis has the option keyPrefix');
  const ended = clientOf(redis.url);
  ended.disconnect();
  await vi.waitUntil(() => ended.status === 'end', POLL);
  expect(make({ redis: ended })).toThrow('redis is a client that was ended');
  expect(make({ redis: redis.client, store: memoryStore() })).toThrow('store');
  expect(make({ store: memoryStore(), deadlineMs: 10 })).toThrow('deadlineMs has no effect with store');
});

it('tells a missing permission as a fault of the installation, by a typed cause without arguments', async () => {
  await redis.client.call('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '&*', '+@all', '-evalsha', '-eval');
  const told: RedisFault[] = [];
  const limiter = limiterOf(clientOf(redis.url, { username: 'app', password: 'pw' }), told);
  await expect.poll(async () => (await limiter.consume('p', 'secret-subject')).cause, POLL).toBe('access_denied');
  const denied = told.filter(({ code }) => code === 'access_denied');
  expect(denied).toMatchObject([{ kind: 'installation', detail: 'NOPERM' }]);
  expect(JSON.stringify(denied) + String(denied[0])).not.toContain('secret-subject');
  await redis.client.call('ACL', 'DELUSER', 'app');
});

it('tells a wrong password, by a process warning when nobody listens', async () => {
  await redis.client.call('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '&*', '+@all');
  const warnings: string[] = [];
  const listen = (warning: Error): number => warnings.push(warning.message);
  process.on('warning', listen);
  onTestFinished(() => void process.off('warning', listen));
  const client = clientOf(redis.url, { username: 'app', password: 'wrong-secret' });
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 50 });
  onTestFinished(() => limiter.close());
  await expect.poll(async () => (await limiter.consume('p', 'u')).cause, POLL).toBe('authentication');
  await expect.poll(() => warnings.filter((line) => line.includes('WRONGPASS')).length, POLL).toBe(1);
  expect(warnings.join()).not.toContain('wrong-secret');
  await redis.client.call('ACL', 'DELUSER', 'app');
});

it('leaves a master that was demoted, and tells when it is over', async () => {
  const [other, server] = [await startRedis(), await startRedis()];
  onTestFinished(async () => void (await Promise.all([other.stop(), server.stop()])));
  const told: RedisFault[] = [];
  const recovered = vi.fn<() => void>();
  const client = clientOf(server.url);
  const [onError, admin] = [(error: RedisFault) => void told.push(error), clientOf(server.url)];
  const limiter = createLimiter({ redis: client, policies, deadlineMs: 1_000, onError, onRecovered: recovered });
  onTestFinished(() => limiter.close());
  await expect.poll(() => reasonOf(limiter), POLL).toBe('limited');
  let left = 0;
  client.on('close', () => (left += 1));
  const { hostname, port } = new URL(other.url);
  await admin.call('REPLICAOF', hostname, port);
  await expect.poll(async () => (await limiter.consume('p', 'v')).reason, POLL).toBe('unavailable');
  await expect.poll(() => left, POLL).toBeGreaterThan(0);
  expect(told.map(({ code }) => code)).toContain('read_only');
  await admin.call('REPLICAOF', 'NO', 'ONE');
  await expect.poll(async () => (await reasonOf(limiter), recovered.mock.calls.length), POLL).toBe(1);
});

it('decides, counts and lifts blocks over a client with stringNumbers', async () => {
  const told: RedisFault[] = [];
  const limiter = limiterOf(clientOf(redis.url, { stringNumbers: true }), told);
  await expect.poll(() => reasonOf(limiter), POLL).toBe('limited');
  expect(await limiter.consume('p', 'new')).toMatchObject({ reason: 'allowed', remaining: 0 });
  await limiter.block('p', 'u');
  expect(await limiter.unblock('p', 'u')).toBe(true);
  expect(told.filter(({ kind }) => kind === 'installation')).toEqual([]);
});

it('never decides in database 0 when the database of the URL is refused, and tells', async () => {
  const server = await startRedis({ args: ['--databases', '4'] });
  onTestFinished(() => server.stop());
  const told: RedisFault[] = [];
  const limiter = limiterOf(`${server.url}/9`, told);
  await expect.poll(async () => (await limiter.consume('p', 'u')).cause, POLL).toBe('database_refused');
  expect(told.find(({ code }) => code === 'database_refused')).toMatchObject({ kind: 'installation' });
  const admin = clientOf(server.url);
  await vi.waitUntil(() => admin.status === 'ready', POLL);
  expect(await admin.dbsize()).toBe(0);
  // An owner's own client stays as it is, and the process is warned.
  const warnings: string[] = [];
  const listen = (warning: Error): number => warnings.push(warning.message);
  process.on('warning', listen);
  onTestFinished(() => void process.off('warning', listen));
  limiterOf(clientOf(`${server.url}/9`));
  await expect.poll(() => warnings.join(), POLL).toContain('commands of this client go to database 0');
});

it('tells that a client which subscribes, or is inside MULTI, cannot decide', async () => {
  const subscribed = clientOf(redis.url, { protocol: 2, enableOfflineQueue: true });
  await subscribed.subscribe('news');
  const limiter = limiterOf(subscribed);
  expect(await limiter.consume('p', 'u')).toMatchObject({ reason: 'unavailable', cause: 'client_in_use' });
  const queueing = clientOf(redis.url, { enableOfflineQueue: true });
  await queueing.multi({ pipeline: false });
  expect(await limiterOf(queueing).consume('p', 'u')).toMatchObject({ reason: 'unavailable', cause: 'client_error' });
});

it('settles what could not be encoded by the policy, and goes on', async () => {
  const client = clientOf(redis.url);
  const limiter = limiterOf(client);
  await expect.poll(() => reasonOf(limiter), POLL).toBe('limited');
  const send = client.sendCommand.bind(client);
  client.sendCommand = () => {
    throw new RangeError('out of range');
  };
  expect(await limiter.consume('p', 'w')).toMatchObject({ reason: 'unavailable', cause: 'client_error' });
  client.sendCommand = send;
  expect(await reasonOf(limiter)).toBe('limited');
});

it.each(['', 'staging'] as const)(
  'needs no more rights than the documented ACL rule gives, in namespace "%s"',
  async (namespace) => {
    await redis.client.call('ACL', 'SETUSER', 'app', ...(await documentedRedisUser('app', namespace)));
    await redis.client.call('ACL', 'LOG', 'RESET');
    onTestFinished(async () => void (await redis.client.call('ACL', 'DELUSER', 'app')));
    const told: RedisFault[] = [];
    const client = clientOf(redis.url, { username: 'app', password: 'pw' });
    await vi.waitUntil(() => client.status === 'ready', POLL);
    const onError = (error: RedisFault): void => void told.push(error);
    const limiter = createLimiter({ redis: client, policies, live: true, deadlineMs: 5_000, onError, namespace });
    onTestFinished(() => limiter.close());
    await limiter.consume('p', 'u');
    await limiter.block('p', 'u');
    expect(await reasonOf(limiter)).toBe('blocked');
    expect(await limiter.unblock('p', 'u')).toBe(true);
    await limiter.live.deny('v');
    expect((await limiter.consume('p', 'v')).reason).toBe('deny_listed');
    const channel = namespace === '' ? 'spillway:0:keys' : 'spillway:staging@0:keys';
    await expect.poll(() => redis.client.call('PUBSUB', 'NUMSUB', channel), POLL).toEqual([channel, 1]);
    expect(told).toEqual([]);
    expect(await redis.client.call('ACL', 'LOG')).toEqual([]);
    // Nothing of the other: neither a window, nor the live entries, nor a channel.
    const other = createLimiter({
      redis: client,
      policies,
      deadlineMs: 5_000,
      namespace: namespace === '' ? 'staging' : '',
    });
    onTestFinished(() => other.close());
    expect(await other.consume('p', 'u')).toMatchObject({ reason: 'unavailable', cause: 'access_denied' });
    const foreign = namespace === '' ? 'spillway:staging@0:keys' : 'spillway:0:keys';
    await expect(client.call('PUBLISH', foreign, 'x')).rejects.toThrow('NOPERM');
  },
);

it('leaves no listener on a client once it is closed', async () => {
  const client = clientOf(redis.url);
  await vi.waitUntil(() => client.status === 'ready', POLL);
  const counts = (): unknown[] => client.eventNames().map((event) => [event, client.listenerCount(event)]);
  const before = counts();
  const limiters = [1, 2].map(() => createLimiter({ redis: client, policies, live: true }));
  for (const limiter of limiters) await limiter.consume('p', 'u');
  for (const limiter of limiters) await limiter.close();
  expect(counts()).toEqual(before);
});

it.each(redisLibraries(hotPath))('hears of live changes and of blocks that end early over $name', async (library) => {
  const [here, there] = await Promise.all([library.connect(redis.url), library.connect(redis.url)]);
  const blocking = [definePolicy({ name: 'b', limit: 1, windowMs: 600_000, blockMs: 600_000 })] as const;
  const limiters = [here, there].map(({ client, end }) => {
    const limiter = createLimiter({ redis: client, policies: blocking, live: true, deadlineMs: 1_000 });
    onTestFinished(() => limiter.close().then(end));
    return limiter;
  });
  const [one, other] = limiters;
  const reason = async (subject: string): Promise<string | undefined> => (await one?.consume('b', subject))?.reason;
  await other?.live.deny('v');
  await expect.poll(() => reason('v'), POLL).toBe('deny_listed');
  await expect.poll(() => reason('u'), POLL).toBe('blocked');
  await other?.reset('b', 'u');
  await expect.poll(() => reason('u'), POLL).toBe('allowed');
});

it('writes nothing more on a client whose owner quits, so that the reply to QUIT is not lost', async () => {
  const client = clientOf(redis.url, { socketTimeout: 10_000 });
  const limiter = createLimiter({ redis: client, policies, live: true, recordDecisions: true, deadlineMs: 50 });
  onTestFinished(() => limiter.close());
  await expect.poll(() => reasonOf(limiter), POLL).toBe('limited');
  await limiter.block('p', 'blocked');
  const sent = vi.spyOn(client, 'sendCommand');
  // For longer than beats, pulses and reports wait.
  await redis.client.client('PAUSE', 2_500, 'ALL');
  const quit = client.quit();
  expect((await limiter.consume('p', 'v')).reason).toBe('unavailable');
  await limiter.consume('p', 'blocked');
  expect(await quit).toBe('OK');
  const names = sent.mock.calls.map(([command]) => command.name);
  expect(names.slice(names.indexOf('quit'))).toEqual(['quit']);
});

it('leaves few listeners on a client, however many limiters share it, and none once they are closed', async () => {
  const client = clientOf(redis.url, { lazyConnect: true });
  const before = (['ready', 'end', 'error'] as const).map((event) => client.listenerCount(event));
  const limiters = Array.from({ length: 8 }, () =>
    createLimiter({ redis: client, policies, live: true, recordDecisions: true, deadlineMs: 1_000 }),
  );
  const events = ['ready', 'end', 'error'] as const;
  const reasons = await Promise.all(limiters.map(async (limiter) => (await limiter.consume('p', 'u')).allowed));
  expect(reasons.filter(Boolean)).toHaveLength(1);
  for (const event of events) expect(client.listenerCount(event)).toBeLessThanOrEqual(4);
  await Promise.all(limiters.map(async (limiter) => limiter.close()));
  expect(events.map((event) => client.listenerCount(event))).toEqual(before);
});
