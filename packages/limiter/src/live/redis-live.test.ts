import { type RedisServer, startRedis, startRedisCluster } from '@spillway/local-servers';
import { hotPathOptions, outboxKeys } from '@spillway/redis';
import { Cluster, Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { LimiterInputError, LimiterUnavailableError } from '../errors.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import type { LiveEntryError } from './entries.ts';
import { livePolicies } from './live-over.ts';
import type { LiveOptions } from './live-policies.ts';
import { liveKeyIn } from './sources.ts';

const policies = [definePolicy({ name: 'uploads', limit: 10, windowMs: 60_000 })] as const;
const SOON = { timeout: 15_000, interval: 10 };

let server: RedisServer;
const clients: Redis[] = [];
const closing: (() => unknown)[] = [];

async function connect(): Promise<Redis> {
  const client = new Redis(server.url, hotPathOptions);
  client.on('error', () => undefined);
  clients.push(client);
  await vi.waitUntil(() => client.status === 'ready');
  return client;
}

async function open(options: LiveOptions = {}) {
  const limiter = createLimiter({ redis: await connect(), policies, deadlineMs: 2_000, live: options });
  closing.push(limiter.close);
  return limiter;
}

beforeAll(async () => {
  server = await startRedis();
});
beforeEach(async () => {
  await (await connect()).flushall();
});
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
  for (const client of clients.splice(0)) client.disconnect();
});
afterAll(() => server.stop());

describe('a change', () => {
  it('reaches every other limiter', async () => {
    const [one, two, three] = [await open(), await open(), await open()];
    await one.live.setOverride({ policy: 'uploads', subject: 'u', limit: 20 });
    expect((await one.peek('uploads', 'u')).limit).toBe(20);
    for (const other of [two, three]) {
      await expect.poll(async () => (await other.peek('uploads', 'u')).limit, SOON).toBe(20);
    }
    await two.live.deny('u');
    await expect.poll(async () => (await one.peek('uploads', 'u')).reason, SOON).toBe('deny_listed');
  });

  it('is found by a limiter that starts later, and by one that reads without limiting', async () => {
    await (await open()).live.setOverride({ policy: 'uploads', subject: 'u', limit: 20 });
    const late = await open();
    await late.live.refresh();
    expect((await late.peek('uploads', 'u')).limit).toBe(20);
    const alone = livePolicies({ redis: await connect() });
    closing.push(alone.close);
    expect((await alone.list()).overrides).toHaveLength(1);
    await alone.removeOverride({ policy: 'uploads', subject: 'u' });
    await expect.poll(async () => (await late.peek('uploads', 'u')).limit, SOON).toBe(10);
  });

  it('is noticed without a message too, by the version', async () => {
    const limiter = await open();
    await limiter.live.refresh();
    const admin = await connect();
    await admin.hset(liveKeyIn(), { 'o:uploads:u': '{"limit":33}', version: '1' });
    await expect.poll(async () => (await limiter.peek('uploads', 'u')).limit, SOON).toBe(33);
  });

  it('holds after Redis was emptied and written again', async () => {
    const limiter = await open();
    await limiter.live.setOverride({ policy: 'uploads', subject: 'u', limit: 20 });
    await (await connect()).flushall();
    await expect.poll(async () => (await limiter.peek('uploads', 'u')).limit, SOON).toBe(10);
    await limiter.live.setOverride({ policy: 'uploads', subject: 'u', limit: 30 });
    expect((await limiter.peek('uploads', 'u')).limit).toBe(30);
  });

  it('survives an outage: what was known holds, what changed meanwhile is read after it', async () => {
    const own = await startRedis();
    const client = new Redis(own.url, hotPathOptions);
    client.on('error', () => undefined);
    const limiter = createLimiter({ redis: client, policies, deadlineMs: 300, live: { deadlineMs: 500 } });
    try {
      await vi.waitUntil(() => client.status === 'ready');
      await limiter.live.deny('u');
      await own.kill();
      await expect(limiter.consume('uploads', 'u')).resolves.toMatchObject({ reason: 'deny_listed' });
      await expect(limiter.live.unlist('u')).rejects.toBeInstanceOf(LimiterUnavailableError);
      await own.restart();
      await expect.poll(() => limiter.live.allow('v').then(() => 'set', String), SOON).toBe('set');
      expect((await limiter.consume('uploads', 'v')).reason).toBe('allow_listed');
    } finally {
      await limiter.close();
      client.disconnect();
      await own.stop();
    }
  });

  it('costs no command a decision', async () => {
    const limiter = await open();
    await limiter.live.setOverride({ policy: 'uploads', subject: 'u-*', limit: 20 });
    const admin = await connect();
    await admin.config('RESETSTAT');
    for (let user = 0; user < 50; user += 1) await limiter.consume('uploads', `u-${user}`);
    const stats = await admin.info('commandstats');
    // The limiter's sign of life, once in two seconds, is one too.
    const scripts = Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]);
    expect(scripts).toBeGreaterThanOrEqual(50);
    expect(scripts).toBeLessThan(60);
    expect(Number(/cmdstat_hgetall:calls=(\d+)/.exec(stats)?.[1] ?? 0)).toBe(0);
    expect(Number(/cmdstat_hget:calls=(\d+)/.exec(stats)?.[1] ?? 0)).toBeLessThan(20);
  });
});

describe('what somebody wrote by hand', () => {
  it('is ignored where it cannot be read, and reported', async () => {
    const errors: LiveEntryError[] = [];
    const limiter = await open({ onError: (error) => errors.push(error) });
    const bad = {
      'p:uploads': '{"limit":0,"windowMs":1}',
      'p:broken': '{',
      'p:list': '[]',
      'p:empty': '{}',
      'o:uploads:a': '{"limit":"many"}',
      'o:uploads:b': '{}',
      'o:nocolon': '{"limit":1}',
      'l:c': 'perhaps',
      'l:10.0.0.0/99': 'deny',
      'x:what': '1',
      junk: '',
    };
    await (await connect()).hset(liveKeyIn(), { ...bad, 'o:uploads:good': '{"limit":77}', version: 'not a number' });
    await expect.poll(async () => (await limiter.peek('uploads', 'good')).limit, SOON).toBe(77);
    expect(new Set(errors.map(({ field }) => field))).toEqual(new Set(Object.keys(bad)));
    expect(errors[0]).toMatchObject({ name: 'LiveEntryError', code: 'live_entry_malformed' });
    expect((await limiter.peek('uploads', 'a')).limit).toBe(10);
    await limiter.live.setOverride({ policy: 'uploads', subject: 'a', limit: 3 });
    expect((await limiter.peek('uploads', 'a')).limit).toBe(3);
  });

  it('of the wrong type stops nothing', async () => {
    await (await connect()).set(liveKeyIn(), 'no hash');
    const limiter = await open();
    await expect(limiter.consume('uploads', 'u')).resolves.toMatchObject({ allowed: true, limit: 10 });
    await expect(limiter.live.deny('u')).rejects.toBeInstanceOf(LimiterUnavailableError);
  });
});

it('is recorded above the cap of the outbox, and holds though not even that has room', async () => {
  const [redis, admin] = [await connect(), await connect()];
  const limiter = createLimiter({ redis, policies, deadlineMs: 2_000, live: true, outboxCap: 1 });
  closing.push(limiter.close);
  const { stream, head } = outboxKeys(0);
  for (const entry of ['a', 'b', 'c']) await limiter.live.deny(entry);
  expect(await admin.xlen(stream)).toBe(3);
  await Promise.all(Array.from({ length: 998 }, () => admin.xadd(stream, '*', 'e', '[]')));
  expect(await limiter.live.deny('d')).toMatchObject({ existed: false });
  expect((await limiter.consume('uploads', 'd')).reason).toBe('deny_listed');
  expect([await admin.xlen(stream), await admin.hget(head, 'dropped')]).toEqual([1_001, '1']);
});

it('refuses entry number 10,001', async () => {
  const admin = await connect();
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, user) => [`l:${user}`, 'deny']));
  await admin.hset(liveKeyIn(), { ...many, version: '5' });
  const limiter = await open();
  await expect(limiter.live.deny('one more')).rejects.toBeInstanceOf(LimiterInputError);
  await limiter.live.allow('7');
  expect((await limiter.consume('uploads', '7')).reason).toBe('allow_listed');
  expect(await admin.hlen(liveKeyIn())).toBe(10_001);
});

it('works on a Cluster', async () => {
  const servers = await startRedisCluster();
  const nodes = servers.nodes.map(({ host, port }) => ({ host, port }));
  const make = () => new Cluster(nodes, { redisOptions: hotPathOptions });
  const [here, there] = [make(), make()];
  const [one, two] = [here, there].map((redis) => createLimiter({ redis, policies, deadlineMs: 5_000, live: true }));
  try {
    await expect.poll(() => one?.live.deny('u').then(() => 'set', String), SOON).toBe('set');
    await expect.poll(async () => (await two?.consume('uploads', 'u'))?.reason, SOON).toBe('deny_listed');
    await expect.poll(() => one?.live.blockEverywhere('v'), SOON).toMatchObject({ otherLimiters: 1 });
    await expect.poll(async () => (await two?.consume('uploads', 'v'))?.reason, SOON).toBe('blocked');
  } finally {
    await one?.close();
    await two?.close();
    here.disconnect();
    there.disconnect();
    await servers.stop();
  }
});

it.each([
  [{ live: { key: 'x' } }, 'live.key'],
  [{ live: { deadlineMs: 0 } }, 'live.deadlineMs'],
  [{ live: { onError: 'log' } }, 'live.onError'],
  [{ live: 'yes' }, 'live'],
  [{ denyCache: { maxEntries: 0 }, redis: 'redis://127.0.0.1:1' }, 'denyCache.maxEntries'],
  [{ denyCache: 'yes', redis: 'redis://127.0.0.1:1' }, 'denyCache'],
])('createLimiter names the bad option in %j', (options, field) => {
  const where = 'redis' in options ? {} : { store: memoryStore() };
  const make = (): unknown => createLimiter({ ...where, policies, ...(options as object) } as never);
  expect(make).toThrow(LimiterInputError);
  expect(make).toThrow(field);
});
