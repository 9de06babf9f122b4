import { type RedisServer, startRedis } from '@spillway/local-servers';
import { redisLibraries, type RedisLibrary } from '@spillway/local-servers/testing';
import * as hotPath from '@spillway/redis';
import { outboxKeys, parseGapEvent, parseOutboxEntry, type RawEntry } from '@spillway/redis';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connectTo, prompt, tally } from '../../test/clients.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';
import type { Decision } from '../types.ts';

const DEADLINE_MS = 100;
const policies = [
  definePolicy({ name: 'open', limit: 10, windowMs: 600_000 }),
  definePolicy({ name: 'closed', limit: 10, windowMs: 600_000, onUnavailable: 'closed' }),
  definePolicy({ name: 'local', limit: 10, windowMs: 600_000, blockMs: 600_000, onUnavailable: 'local' }),
  definePolicy({ name: 'watched', limit: 10, windowMs: 600_000, onUnavailable: 'closed', mode: 'shadow' }),
] as const;
type Name = (typeof policies)[number]['name'];

async function redisServer(...args: string[]): Promise<RedisServer> {
  const server = await startRedis({ args });
  onTestFinished(() => server.stop());
  return server;
}

async function limiterAt(url: string, library?: RedisLibrary): Promise<Limiter<Name>> {
  const connected = await library?.connect(url);
  if (connected !== undefined) onTestFinished(() => connected.end());
  const client = connected?.client ?? (await connectTo(url));
  const limiter = createLimiter({ redis: client, policies, deadlineMs: DEADLINE_MS });
  onTestFinished(() => limiter.close());
  return limiter;
}

const ask = (limiter: Limiter<Name>, policy: Name, count: number, subject = 'u'): Promise<readonly Decision[]> =>
  prompt(DEADLINE_MS, count, () => limiter.consume(policy, subject));

const admitted = (decisions: readonly Decision[]): number => decisions.filter(({ allowed }) => allowed).length;

/** Asks until Redis is available again. */
async function untilBack(limiter: Limiter<Name>): Promise<void> {
  await expect
    .poll(async () => (await limiter.peek('open', 'nobody')).reason, { timeout: 15_000, interval: 20 })
    .toBe('allowed');
}

const clients = redisLibraries(hotPath).flatMap((library) =>
  (['kill', 'pause'] as const).map((fault) => ({ fault, library, name: library.name })),
);

describe.each(clients)('while Redis is away ($fault), over $name', ({ fault, library }) => {
  it('each policy answers as it says, in time, at the first moment and later', async () => {
    const server = await redisServer();
    const limiter = await limiterAt(server.url, library);
    await untilBack(limiter);
    await server[fault]();
    for (let round = 0; round < 3; round += 1) {
      expect(admitted(await ask(limiter, 'open', 200))).toBe(200);
      expect(admitted(await ask(limiter, 'closed', 200))).toBe(0);
      expect(admitted(await ask(limiter, 'watched', 200))).toBe(200);
      expect(admitted(await ask(limiter, 'local', 200, `u${round}`))).toBe(10);
    }
    const [open] = await ask(limiter, 'open', 1);
    expect(open).toMatchObject({ reason: 'unavailable', limit: 10, retryAfterMs: 0 });
    expect(open).not.toHaveProperty('source');
    await (fault === 'kill' ? server.restart() : server.resume());
    await untilBack(limiter);
    expect(await limiter.consume('closed', 'new')).toMatchObject({ allowed: true, reason: 'allowed', remaining: 9 });
  });
});

describe('a local policy without Redis', () => {
  it('has a window of its limit divided by the instances that it last counted', async () => {
    const server = await redisServer();
    const limiters = [await limiterAt(server.url), await limiterAt(server.url), await limiterAt(server.url)];
    const client = await connectTo(server.url);
    for (const limiter of limiters)
      await expect.poll(() => limiter.consume('local', 'first')).toMatchObject({ reason: 'allowed' });
    const beats = async (): Promise<number[]> =>
      (await client.zrange('{sw:00}:live:limiter', '0', '-1', 'WITHSCORES'))
        .filter((_, index) => index % 2 === 1)
        .map(Number);
    await expect.poll(async () => (await beats()).length, { timeout: 10_000 }).toBe(3);
    const newest = Math.max(...(await beats()));
    await expect.poll(async () => Math.min(...(await beats())), { timeout: 10_000 }).toBeGreaterThan(newest);
    await server.kill();
    for (const limiter of limiters) {
      const decisions = await ask(limiter, 'local', 5);
      expect(decisions.map(({ allowed }) => allowed)).toEqual([true, true, true, false, false]);
      expect(decisions[0]).toMatchObject({ reason: 'allowed', source: 'local', limit: 3, remaining: 2 });
      // A full share starts the policy's block, in this process.
      expect(decisions[4]).toMatchObject({ reason: 'blocked', source: 'local' });
      expect(await limiter.peek('local', 'v')).toMatchObject({ allowed: true, source: 'local', remaining: 3 });
      expect(await limiter.consume('local', 'w', { cost: 4 })).toMatchObject({ allowed: false, reason: 'unavailable' });
    }
  });

  it('is over with the first answer of Redis, and a flapping Redis gives no second share', async () => {
    const server = await redisServer();
    const limiter = await limiterAt(server.url);
    await untilBack(limiter);
    await server.kill();
    expect(admitted(await ask(limiter, 'local', 20))).toBe(10);
    await server.restart();
    await untilBack(limiter);
    const back = await limiter.consume('local', 'u');
    expect(back).toMatchObject({ allowed: true, reason: 'allowed', remaining: 9 });
    expect(back).not.toHaveProperty('source');
    await server.kill();
    expect(admitted(await ask(limiter, 'local', 20))).toBe(0);
  });
});

describe('Redis', () => {
  it('that thaws carries out what it was sent while it was frozen, once, and was sent little', async () => {
    const server = await redisServer();
    const limiter = createLimiter({
      redis: await connectTo(server.url),
      policies: [definePolicy({ name: 'wide', limit: 10_000, windowMs: 600_000 })],
      deadlineMs: DEADLINE_MS,
    });
    onTestFinished(() => limiter.close());
    expect(await limiter.consume('wide', 'u')).toMatchObject({ remaining: 9_999 });
    await server.pause();
    const request = (): Promise<Decision> => limiter.consume('wide', 'u');
    expect(tally(await prompt(DEADLINE_MS, 50, request))).toEqual({ unavailable: 50 });
    for (let round = 0; round < 20; round += 1) await prompt(DEADLINE_MS, 50, request);
    await server.resume();
    await expect.poll(async () => (await limiter.peek('wide', 'u')).reason, { timeout: 15_000 }).toBe('allowed');
    expect((await limiter.peek('wide', 'u')).remaining).toBeGreaterThanOrEqual(9_999 - 50);
  });

  it('that restarts empty begins again, and its first decisions are exact', async () => {
    const server = await redisServer();
    const limiter = await limiterAt(server.url);
    expect(admitted(await ask(limiter, 'open', 15))).toBe(10);
    await server.kill();
    await server.restart();
    await untilBack(limiter);
    expect(tally(await ask(limiter, 'open', 15))).toEqual({ allowed: 10, limited: 5 });
  });

  it('that is down at boot is an outage like any other, and found when it comes', async () => {
    const server = await redisServer();
    await server.kill();
    const client = new Redis(server.url, {
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      retryStrategy: () => 50,
    });
    client.on('error', () => undefined);
    onTestFinished(() => client.disconnect());
    const limiter = createLimiter({ redis: client, policies, deadlineMs: DEADLINE_MS });
    expect(admitted(await ask(limiter, 'closed', 100))).toBe(0);
    expect(admitted(await ask(limiter, 'local', 100))).toBe(10);
    await server.restart();
    await untilBack(limiter);
    expect(await limiter.consume('closed', 'u')).toMatchObject({ allowed: true, reason: 'allowed' });
    await limiter.close();
  });

  it('at its maxmemory still refuses exactly who is over the limit, still peeks, and leaves the rest to the policy', async () => {
    const server = await redisServer('--maxmemory-policy', 'noeviction');
    const limiter = await limiterAt(server.url);
    const admin = await connectTo(server.url);
    for (const policy of ['open', 'closed'] as const) {
      expect(admitted(await ask(limiter, policy, 10, 'full'))).toBe(10);
      expect(admitted(await ask(limiter, policy, 3, 'busy'))).toBe(3);
    }
    await limiter.block('open', 'banned');
    await admin.config('SET', 'maxmemory', '1');
    const both = await Promise.all([
      ...(['open', 'closed'] as const).flatMap((policy) =>
        ['full', 'busy'].map((user) => limiter.consume(policy, user)),
      ),
      limiter.consume('open', 'banned'),
    ]);
    expect(both.map(({ allowed, reason }) => [allowed, reason])).toEqual([
      [false, 'limited'],
      [true, 'unavailable'],
      [false, 'limited'],
      [false, 'unavailable'],
      [false, 'blocked'],
    ]);
    expect(await limiter.peek('open', 'busy')).toMatchObject({ reason: 'allowed', remaining: 7 });
    await admin.config('SET', 'maxmemory', '0');
    // What could not be written was not charged.
    expect(await limiter.consume('open', 'busy')).toMatchObject({ reason: 'allowed', remaining: 6 });
    const events = async () =>
      (await admin.xrange(outboxKeys(0).stream, '-', '+'))
        .map((entry) => parseOutboxEntry(0, entry as RawEntry))
        .filter(({ type }) => type === 'gap')
        .map(parseGapEvent);
    await expect
      .poll(async () => (await events()).at(-1), { timeout: 10_000 })
      .toMatchObject({ kind: 'limiter_outage', instances: 1, decisions: { open_admitted: 1, closed_refused: 1 } });
  });
});
