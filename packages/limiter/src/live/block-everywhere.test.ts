import { type RedisServer, startRedis } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLimiter } from '../limiter/create-limiter.ts';
import { memoryStore } from '../store/memory-store.ts';
import { livePolicies } from './live-over.ts';
import { liveKeyIn } from './sources.ts';

const policies = [
  { name: 'uploads', limit: 10, windowMs: 60_000 },
  { name: 'logins', limit: 1, windowMs: 60_000, blockMs: 60_000 },
  { name: 'leased', limit: 100, windowMs: 60_000, lease: { size: 10, ttlMs: 5_000 } },
  { name: 'renders', algorithm: 'concurrency', limit: 2, windowMs: 60_000 },
  { name: 'watched', limit: 10, windowMs: 60_000, mode: 'shadow' },
] as const;
const MINUTE = 60_000;
const SOON = { timeout: 10_000, interval: 10 };

let server: RedisServer;
const clients: Redis[] = [];
const closing: (() => unknown)[] = [];

async function connect(url = server.url): Promise<Redis> {
  const client = new Redis(url, hotPathOptions);
  client.on('error', () => undefined);
  clients.push(client);
  await vi.waitUntil(() => client.status === 'ready', SOON);
  return client;
}

async function inRedis(url = server.url) {
  const limiter = createLimiter({ redis: await connect(url), policies, deadlineMs: 2_000, live: true });
  closing.push(limiter.close);
  return limiter;
}

async function inMemory() {
  const limiter = createLimiter({ store: memoryStore(), policies, live: true });
  closing.push(limiter.close);
  return limiter;
}

beforeAll(async () => {
  server = await startRedis();
});
beforeEach(async () => void (await (await connect()).flushall()));
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
  for (const client of clients.splice(0)) client.disconnect();
});
afterAll(() => server.stop());

describe.each([
  ['Redis', inRedis],
  ['memory', inMemory],
])('a subject that is blocked everywhere in %s', (_, open) => {
  it('is refused under every policy and action, by every operation that admits, until it is unblocked', async () => {
    const limiter = await open();
    await limiter.consume('leased', 'u');
    const { blockedUntilMs, existed } = await limiter.blockEverywhere('u', { durationMs: MINUTE });
    expect(existed).toBe(false);
    await limiter.live.setPolicy({ name: 'later', limit: 5, windowMs: 1_000 });
    for (const name of ['uploads', 'logins', 'leased', 'renders', 'later'] as 'uploads'[]) {
      for (const action of ['default', 'put']) {
        const refused = { allowed: false, reason: 'blocked', policy: name, remaining: 0, blockedUntilMs };
        expect(await limiter.consume(name, 'u', { action })).toMatchObject(refused);
        expect(await limiter.peek(name, 'u', { action })).toMatchObject(refused);
      }
    }
    const together = [
      { policy: 'uploads', subject: 'other' },
      { policy: 'logins', subject: 'u' },
    ] as const;
    expect(await limiter.consumeAll(together)).toMatchObject({ allowed: false, refusedBy: ['logins'] });
    expect(await limiter.acquire('renders', 'u')).toBeUndefined();
    await expect(limiter.waitFor('uploads', 'u', { maxWaitMs: 10 })).rejects.toMatchObject({ code: 'wait_exceeded' });
    expect(await limiter.consume('watched', 'u')).toMatchObject({ allowed: true, reason: 'shadow' });

    expect(await limiter.unblockEverywhere('u')).toMatchObject({ existed: true });
    expect(await limiter.unblockEverywhere('u')).toMatchObject({ existed: false });
    expect(await limiter.consume('uploads', 'u')).toMatchObject({ allowed: true, remaining: 9 });
    expect(await limiter.consume('uploads', 'other')).toMatchObject({ allowed: true, remaining: 9 });
  });

  it('is admitted again, charged for nothing, when the time that its refusals name is over', async () => {
    const limiter = await open();
    await limiter.blockEverywhere('u', { durationMs: 400 });
    const refusal = await limiter.consume('uploads', 'u');
    expect(refusal).toMatchObject({ reason: 'blocked' });
    expect(refusal.retryAfterMs).toBeGreaterThan(0);
    expect(refusal.retryAfterMs).toBeLessThanOrEqual(400);
    expect(refusal.resetAtMs).toBe(refusal.blockedUntilMs);
    // Waits for what each refusal says and asks again.
    expect(await limiter.waitFor('uploads', 'u', { maxWaitMs: 10_000 })).toMatchObject({ allowed: true, remaining: 9 });
    expect(await limiter.live.list()).toMatchObject({ blocked: [] });
  });

  it('is refused for ever without a duration, and the last word holds', async () => {
    const limiter = await open();
    expect(await limiter.blockEverywhere('u')).toMatchObject({ blockedUntilMs: Infinity });
    expect(await limiter.consume('uploads', 'u')).toMatchObject({ retryAfterMs: Infinity, resetAtMs: Infinity });
    const again = await limiter.blockEverywhere('u', { durationMs: MINUTE });
    expect(again).toMatchObject({ existed: true });
    expect((await limiter.consume('uploads', 'u')).blockedUntilMs).toBe(again.blockedUntilMs);
    expect(await limiter.live.list()).toMatchObject({
      blocked: [{ subject: 'u', blockedUntilMs: again.blockedUntilMs }],
    });
  });

  it('is refused whatever list it is on, and is on that list still afterwards', async () => {
    const limiter = await open();
    await limiter.live.allow('u');
    await limiter.blockEverywhere('u', { durationMs: MINUTE });
    expect(await limiter.consume('uploads', 'u')).toMatchObject({ allowed: false, reason: 'blocked' });
    await limiter.unblockEverywhere('u');
    expect(await limiter.consume('uploads', 'u')).toMatchObject({ allowed: true, reason: 'allow_listed' });
  });

  it('is that very subject: stars and networks are no patterns here', async () => {
    const limiter = await open();
    for (const subject of ['*', 'org-*', '10.0.0.0/8', 'ip:10.0.0.0/8']) await limiter.blockEverywhere(subject);
    for (const subject of ['u', 'org-7', '10.1.2.3', 'ip:10.1.2.3']) {
      expect(await limiter.consume('uploads', subject)).toMatchObject({ allowed: true });
    }
    expect(await limiter.consume('uploads', 'org-*')).toMatchObject({ allowed: false });
    expect(await limiter.consume('uploads', '10.0.0.0/8')).toMatchObject({ allowed: false });
  });

  it('keeps the blocks of single policies, before, during and after', async () => {
    const limiter = await open();
    await limiter.consume('logins', 'u');
    const { blockedUntilMs: own } = await limiter.consume('logins', 'u');
    await limiter.consume('logins', 'u');
    const { blockedUntilMs } = await limiter.blockEverywhere('u', { durationMs: 10 * MINUTE });
    expect(await limiter.consume('logins', 'u')).toMatchObject({ reason: 'blocked', blockedUntilMs });
    await limiter.unblockEverywhere('u');
    expect(await limiter.consume('logins', 'u')).toMatchObject({ reason: 'blocked', blockedUntilMs: own });
    expect(await limiter.consume('uploads', 'u')).toMatchObject({ allowed: true });
  });

  it.each<[object, string]>([
    [{ subject: '' }, 'subject'],
    [{ subject: 'x'.repeat(1_025) }, 'subject'],
    [{ durationMs: 0 }, 'durationMs'],
    [{ durationMs: 1.5 }, 'durationMs'],
    [{ durationMs: '60' }, 'durationMs'],
    [{ duration: 60 }, 'options.duration'],
    [{ action: 'put' }, 'options.action'],
    [{ actor: '' }, 'actor'],
    [{ why: '\0' }, 'why'],
  ])('is not blocked by bad input %j, which names the field', async (input, field) => {
    const limiter = await open();
    const { subject = 'u', ...options }: { readonly subject?: string } = input;
    await expect(limiter.blockEverywhere(subject, options)).rejects.toMatchObject({
      code: 'invalid_input',
      field,
    });
    expect(await limiter.live.list()).toMatchObject({ blocked: [] });
  });
});

it('a block of everything is heard by every limiter with live, also where a block of one policy is remembered', async () => {
  const [here, there] = [await inRedis(), await inRedis()];
  await there.consume('logins', 'u');
  for (let times = 0; times < 3; times += 1) await there.consume('logins', 'u');
  const { blockedUntilMs } = await here.blockEverywhere('u', { durationMs: 10 * MINUTE });
  await expect.poll(async () => (await there.consume('logins', 'u')).blockedUntilMs, SOON).toBe(blockedUntilMs);
  expect(await there.consume('uploads', 'u')).toMatchObject({ reason: 'blocked', blockedUntilMs });
  await here.unblockEverywhere('u');
  await expect.poll(async () => (await there.consume('uploads', 'u')).allowed, SOON).toBe(true);
});

it('a block of everything holds while Redis is away', async () => {
  const own = await startRedis();
  try {
    const limiter = await inRedis(own.url);
    await limiter.blockEverywhere('u', { durationMs: 10 * MINUTE });
    await own.kill();
    expect(await limiter.consume('uploads', 'u')).toMatchObject({ allowed: false, reason: 'blocked' });
    await expect(limiter.unblockEverywhere('u')).rejects.toMatchObject({ code: 'limiter_unavailable' });
  } finally {
    await own.stop();
  }
});

it('blocks of everything that are over leave Redis with the next change', async () => {
  const [limiter, admin] = [await inRedis(), await connect()];
  for (let user = 0; user < 20; user += 1) await limiter.blockEverywhere(`u-${user}`, { durationMs: 1 });
  const left = async (): Promise<unknown> => {
    await limiter.blockEverywhere('last', { durationMs: MINUTE });
    return [await admin.hlen(liveKeyIn()), await admin.zcard(`${liveKeyIn()}:ends`)];
  };
  await expect.poll(left, SOON).toEqual([2, 1]);
  await limiter.unblockEverywhere('last');
  expect(await admin.hkeys(liveKeyIn())).toEqual(['version']);
});

it('without live nothing is blocked everywhere, and the error says why', async () => {
  const limiter = createLimiter({ redis: await connect(), policies });
  closing.push(limiter.close);
  await expect(limiter.blockEverywhere('u')).rejects.toMatchObject({ code: 'invalid_input', field: 'live' });
  await expect(limiter.unblockEverywhere('u')).rejects.toMatchObject({ code: 'invalid_input', field: 'live' });
});

it('a change says how many other limiters with live take it over', async () => {
  const alone = livePolicies({ redis: await connect() });
  closing.push(alone.close);
  const without = createLimiter({ redis: await connect(), policies });
  closing.push(without.close);
  await without.consume('uploads', 'u');
  expect(await alone.deny('u')).toEqual({ existed: false, otherLimiters: 0 });
  const [one, two] = [await inRedis(), await inRedis()];
  await expect.poll(() => alone.deny('u'), SOON).toEqual({ existed: true, otherLimiters: 2 });
  await expect.poll(() => one.live.deny('v'), SOON).toMatchObject({ otherLimiters: 1 });
  expect(await one.blockEverywhere('v')).toMatchObject({ otherLimiters: 1 });
  await two.close();
  expect(await one.live.removePolicy('uploads')).toEqual({ existed: false, otherLimiters: 0 });
  expect(await alone.unlist('v')).toEqual({ existed: true, otherLimiters: 1 });
});
