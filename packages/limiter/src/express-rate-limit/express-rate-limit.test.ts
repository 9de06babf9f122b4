import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { useRedis } from '@spillway/embedded/testing';
import { hotPathOptions } from '@spillway/redis';
import express from 'express';
import { type Options, rateLimit } from 'express-rate-limit';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { LimiterInputError, LimiterUnavailableError } from '../errors.ts';
import { memoryStore } from '../store/memory/memory-store.ts';
import { SpillwayStore, type SpillwayStoreOptions, StoreNotInitializedError } from './index.ts';

const redis = useRedis();
const servers: Server[] = [];
const stores: SpillwayStore[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  for (const store of stores.splice(0)) await store.shutdown();
});

async function inRedis(options: Partial<SpillwayStoreOptions> = {}): Promise<SpillwayStore> {
  const client = redis.connect(hotPathOptions);
  await vi.waitUntil(() => client.status === 'ready', { timeout: 10_000 });
  const store = new SpillwayStore({ redis: client, deadlineMs: 10_000, ...options } as SpillwayStoreOptions);
  stores.push(store);
  return store;
}

/** Keeps what the library's own checks complain about. */
function complaints() {
  const found: unknown[] = [];
  return { found, logger: { warn: (each: unknown) => found.push(each), error: (each: unknown) => found.push(each) } };
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
}

const limit = (request: express.Request): number => (request.header('X-User') === 'gold' ? 4 : 2);

/** A real app over real HTTP, with the library's middleware, and what it takes to ask it. */
async function serve(options: Partial<Options>) {
  const { found, logger } = complaints();
  const app = express();
  const middleware = rateLimit({
    windowMs: 60_000,
    limit: 3,
    logger,
    keyGenerator: (request) => request.header('X-User') ?? 'nobody',
    standardHeaders: 'draft-8',
    ...options,
  });
  app.use(middleware);
  app.get('/', (request, response) => void response.status(Number(request.query['status'] ?? 200)).send('done'));
  const server = app.listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const ask = async (user: string, status = 200): Promise<Answer> =>
    fetch(`${url}?status=${status}`, { headers: { 'X-User': user } });
  const statuses = async (times: number, user = 'ada', status = 200): Promise<number[]> => {
    const all: number[] = [];
    for (let request = 0; request < times; request += 1) all.push((await ask(user, status)).status);
    return all;
  };
  return { ask, statuses, found, middleware };
}

describe('SpillwayStore in express-rate-limit', () => {
  it('counts, refuses beyond the limit, and gives the library’s own checks nothing to complain about', async () => {
    const { ask, statuses, found } = await serve({ store: await inRedis() });
    const first = await ask('ada');
    expect(first.headers.get('RateLimit')).toMatch(/^"3-in-1min"; r=2; t=60$/);
    expect(await statuses(3)).toEqual([200, 200, 429]);
    const refused = await ask('ada');
    expect(refused.headers.get('X-RateLimit-Remaining')).toBe('0');
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(50);
    expect(Number(refused.headers.get('Retry-After'))).toBeLessThanOrEqual(60);
    expect(await statuses(1, 'bob')).toEqual([200]);
    expect(found).toEqual([]);
  });

  it('shares counts between two processes’ stores and keeps prefixes apart', async () => {
    const one = await serve({ store: await inRedis({ prefix: 'a:' }) });
    const same = await serve({ store: await inRedis({ prefix: 'a:' }) });
    const other = await serve({ store: await inRedis({ prefix: 'b:' }) });
    expect(await one.statuses(2)).toEqual([200, 200]);
    expect(await same.statuses(2)).toEqual([200, 429]);
    expect(await other.statuses(1)).toEqual([200]);
  });

  it('takes back failed requests, and never frees a unit for a refusal that was not charged', async () => {
    const { statuses, found, middleware } = await serve({ store: await inRedis(), skipFailedRequests: true });
    expect(await statuses(5, 'ada', 503)).toEqual([503, 503, 503, 503, 503]);
    await expect.poll(() => middleware.getKey('ada'), { timeout: 10_000 }).toBeUndefined();
    expect(await statuses(3)).toEqual([200, 200, 200]);
    // Each of these is a failed request to the library, which takes back its hit.
    for (let round = 0; round < 5; round += 1) {
      expect(await statuses(1)).toEqual([429]);
      await new Promise(setImmediate);
    }
    expect(await middleware.getKey('ada')).toMatchObject({ totalHits: 3 });
    expect(found).toEqual([]);
  });

  it('takes back successful requests alone, where the library says so', async () => {
    const { statuses, middleware } = await serve({ store: await inRedis(), skipSuccessfulRequests: true });
    await statuses(4, 'ada', 200);
    await expect.poll(() => middleware.getKey('ada'), { timeout: 10_000 }).toBeUndefined();
    expect(await statuses(4, 'ada', 404)).toEqual([404, 404, 404, 429]);
  });

  it('shows and forgets a key by the middleware’s own methods', async () => {
    const { statuses, middleware } = await serve({ store: await inRedis() });
    expect(await middleware.getKey('ada')).toBeUndefined();
    await statuses(2);
    expect(await middleware.getKey('ada')).toEqual({ totalHits: 2, resetTime: expect.any(Date) });
    middleware.resetKey('ada');
    await expect.poll(() => middleware.getKey('ada'), { timeout: 10_000 }).toBeUndefined();
    expect(await statuses(4)).toEqual([200, 200, 200, 429]);
  });

  it('holds a limit that is a function of the request, once it knows the highest', async () => {
    const { statuses } = await serve({ store: await inRedis({ limit: 4 }), limit });
    expect(await statuses(5, 'gold')).toEqual([200, 200, 200, 200, 429]);
    expect(await statuses(3, 'tin')).toEqual([200, 200, 429]);
    const unknown = await serve({ store: await inRedis(), limit });
    expect(unknown.found[0]).toBeInstanceOf(LimiterInputError);
    expect(String(unknown.found[0])).toContain('limit must be given to the store');
  });

  it('refuses everything at the limit 0', async () => {
    const { statuses } = await serve({ store: await inRedis(), limit: 0, validate: { limit: false } });
    expect(await statuses(2)).toEqual([429, 429]);
  });

  it('leaves it to passOnStoreError what happens while Redis is away', async () => {
    const client = redis.connect(hotPathOptions);
    client.disconnect();
    const away = (): SpillwayStore => new SpillwayStore({ redis: client, deadlineMs: 20 });
    const open = await serve({ store: away(), passOnStoreError: true });
    expect(await open.statuses(5)).toEqual([200, 200, 200, 200, 200]);
    expect(open.found[0]).toBeInstanceOf(LimiterUnavailableError);
    const closed = await serve({ store: away() });
    expect(await closed.statuses(1)).toEqual([500]);
  });

  it('is told apart from a shared store by the library’s own check', async () => {
    const store = await inRedis();
    await serve({ store });
    const again = await serve({ store });
    expect(String(again.found[0])).toContain('ERR_ERL_STORE_REUSE');
  });
});

describe('SpillwayStore on its own', () => {
  it('admits the limit in any window, also across the edge where a fixed window lets twice as much through', async () => {
    let now = 1_800_000_000_000;
    const store = new SpillwayStore({ store: memoryStore({ now: () => now }) });
    store.init({ windowMs: 1_000, limit: 3 } as Options);
    const hits: number[] = [];
    for (const at of [900, 900, 900, 1_000, 1_000, 1_899, 1_900]) {
      now = 1_800_000_000_000 + at;
      hits.push((await store.increment('ada')).totalHits);
    }
    expect(hits).toEqual([1, 2, 3, 4, 4, 4, 1]);
  });

  it('says when a refused hit would fit, and when an admitted one is forgotten', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_800_000_000_000 });
    const store = new SpillwayStore({ store: memoryStore() });
    store.init({ windowMs: 10_000, limit: 2 } as Options);
    await store.increment('ada');
    vi.setSystemTime(1_800_000_004_000);
    expect((await store.increment('ada')).resetTime.getTime()).toBe(1_800_000_014_000);
    expect((await store.increment('ada')).resetTime.getTime()).toBe(1_800_000_010_000);
    vi.useRealTimers();
  });

  it('does nothing before init', () => {
    const store = new SpillwayStore({ store: memoryStore() });
    expect(() => store.increment('ada')).toThrow(StoreNotInitializedError);
    expect([store.prefix, store.localKeys]).toEqual(['rl:', false]);
  });

  it.each([
    [{ windowMs: 0, limit: 1 }, {}, 'windowMs'],
    [{ windowMs: 1_000, limit: 1.5 }, {}, 'limit'],
    [{ windowMs: 1_000, limit: 1 }, { policy: 'No Name' }, 'name'],
    [{ windowMs: 1_000, limit: 1 }, { deadlineMs: 0 }, 'deadlineMs'],
  ])('refuses %j with %j', (options, extra, field) => {
    const store = new SpillwayStore({ store: memoryStore(), ...extra });
    expect(() => store.init(options as Options)).toThrow(field);
  });

  it('refuses a prefix that can be no part of a key, at construction', () => {
    expect(() => new SpillwayStore({ store: memoryStore(), prefix: '' })).toThrow('prefix must not be empty');
  });
});
