import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import express from 'express';
import { type Options, rateLimit } from 'express-rate-limit';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { LimiterInputError, LimiterUnavailableError } from '../errors.ts';
import { memoryStore } from '../store/memory-store.ts';
import { SpillwayStore, type SpillwayStoreOptions, StoreNotInitializedError, StoreReusedError } from './index.ts';

const redis = useRedis();
const servers: Server[] = [];
const stores: SpillwayStore[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  for (const store of stores.splice(0)) await store.shutdown();
});

async function inRedis(options: Partial<SpillwayStoreOptions> = {}): Promise<SpillwayStore> {
  const client = redis.connect(hotPathOptions);
  await vi.waitUntil(() => client.status === 'ready');
  const store = new SpillwayStore({ redis: client, deadlineMs: 10_000, ...options } as SpillwayStoreOptions);
  stores.push(store);
  return store;
}

/** Keeps what the library's own checks complain about. */
function complaints() {
  const found: unknown[] = [];
  return { found, logger: { warn: (each: unknown) => found.push(each), error: (each: unknown) => found.push(each) } };
}

const limit = (request: express.Request): number => (request.header('X-User') === 'gold' ? 4 : 2);

const text = async (answer: Promise<Response>): Promise<string> => (await answer).text();

const slowDown: Options['handler'] = (_request, response) => void response.status(200).send('slow down');

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
  const ask = async (user: string, status = 200): Promise<Response> =>
    fetch(`${url}?status=${status}`, { headers: { 'X-User': user }, redirect: 'manual' });
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

  it('takes back failed requests, and for a refusal no more than its own hit', async () => {
    const { statuses, found, middleware } = await serve({ store: await inRedis(), skipFailedRequests: true });
    expect(await statuses(5, 'ada', 503)).toEqual([503, 503, 503, 503, 503]);
    await expect.poll(() => middleware.getKey('ada')).toBeUndefined();
    expect(await statuses(3)).toEqual([200, 200, 200]);
    // Each of these is a failed request to the library, which takes back its hit.
    for (let round = 0; round < 5; round += 1) expect(await statuses(1)).toEqual([429]);
    await expect.poll(() => middleware.getKey('ada')).toMatchObject({ totalHits: 3 });
    expect(found).toEqual([]);
  });

  it('takes back successful requests alone, where the library says so', async () => {
    const { statuses, middleware } = await serve({ store: await inRedis(), skipSuccessfulRequests: true });
    await statuses(4, 'ada', 200);
    await expect.poll(() => middleware.getKey('ada')).toBeUndefined();
    expect(await statuses(4, 'ada', 404)).toEqual([404, 404, 404, 429]);
  });

  it('shows and forgets a key by the middleware’s own methods', async () => {
    const { statuses, middleware } = await serve({ store: await inRedis() });
    expect(await middleware.getKey('ada')).toBeUndefined();
    await statuses(2);
    expect(await middleware.getKey('ada')).toEqual({ totalHits: 2, resetTime: expect.any(Date) });
    middleware.resetKey('ada');
    await expect.poll(() => middleware.getKey('ada')).toBeUndefined();
    expect(await statuses(4)).toEqual([200, 200, 200, 429]);
  });

  it('holds a limit that is a function of the request', async () => {
    const { statuses } = await serve({ store: await inRedis(), limit });
    expect(await statuses(5, 'gold')).toEqual([200, 200, 200, 200, 429]);
    expect(await statuses(3, 'tin')).toEqual([200, 200, 429]);
  });

  // A refusal was reported as the store's own limit and one, which another limit of the middleware let pass.
  it('admits nobody to try more than three passwords, whatever a refusal is answered with', async () => {
    const { statuses } = await serve({
      store: await inRedis(),
      skipSuccessfulRequests: true,
      handler: (_request, response) => response.redirect(302, '/slow'),
    });
    const tries = await statuses(40, 'ada', 401);
    expect(tries).toEqual([401, 401, 401, ...Array.from({ length: 37 }, () => 302)]);
  });

  it('counts requests that are answered 200 by a refusal’s own handler as any other, window after window', async () => {
    let now = 1_800_000_000_000;
    const store = new SpillwayStore({ store: memoryStore({ now: () => now }) });
    const { ask } = await serve({ store, limit: 2, windowMs: 700, skipFailedRequests: true, handler: slowDown });
    const bodies: string[] = [];
    for (let request = 0; request < 8; request += 1) bodies.push(await text(ask('ada')));
    expect(bodies).toEqual(['done', 'done', ...Array.from({ length: 6 }, () => 'slow down')]);
    now += 700;
    for (let request = 0; request < 4; request += 1) {
      expect(await text(ask('ada', 503))).toBe('done');
      await expect.poll(() => store.get('ada')).toBeUndefined();
    }
  });

  it('counts past the limit, so that a slower answer grows with each hit and a notice is given once', async () => {
    const used: number[] = [];
    let notices = 0;
    const handler: Options['handler'] = (request, response) => {
      const info = (request as unknown as { rateLimit: { used: number; limit: number } }).rateLimit;
      used.push(info.used);
      if (info.used === info.limit + 1) notices += 1;
      response.status(429).end();
    };
    const { statuses } = await serve({ store: await inRedis(), limit: 2, handler });
    await statuses(8);
    expect([used, notices]).toEqual([[3, 4, 5, 6, 7, 8], 1]);
  });

  it.each([
    ['an empty text', () => ''],
    ['a number', () => 42 as unknown as string],
    ['a long text', () => 'k'.repeat(2_000)],
    ['a lone surrogate', () => '\ud800'],
  ])('limits by a key that is %s', async (_, keyGenerator) => {
    // Its draft 8 hashes the key itself, and takes text alone.
    const { statuses } = await serve({ store: await inRedis(), limit: 2, keyGenerator, standardHeaders: 'draft-7' });
    expect(await statuses(4)).toEqual([200, 200, 429, 429]);
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

  it('fails every request of two middlewares that share a store, since only one of their windows can hold', async () => {
    const store = await inRedis();
    const first = await serve({ store });
    const again = await serve({ store, windowMs: 1_000 });
    expect(again.found.map(String).join()).toContain('ERR_ERL_STORE_REUSE');
    expect(again.found.at(-1)).toBeInstanceOf(StoreReusedError);
    expect([await first.statuses(1), await again.statuses(1)]).toEqual([[500], [500]]);
  });

  it('tells each request why it could not start, where the library only logs it', async () => {
    const store = await inRedis({ policy: 'No Name' });
    const { found, statuses } = await serve({ store });
    expect(found[0]).toBeInstanceOf(LimiterInputError);
    expect(await statuses(1)).toEqual([500]);
    await expect(store.increment('ada')).rejects.toThrow('name must be');
  });
});

describe('SpillwayStore on its own', () => {
  it('does nothing before init', async () => {
    const store = new SpillwayStore({ store: memoryStore() });
    await expect(store.increment('ada')).rejects.toThrow(StoreNotInitializedError);
    expect([store.prefix, store.localKeys]).toEqual(['rl:', false]);
  });

  it.each([
    [{ windowMs: 0 }, {}, 'windowMs'],
    [{ windowMs: -1 }, {}, 'windowMs'],
    [{ windowMs: '1000' }, {}, 'windowMs'],
    [{ windowMs: 1_000 }, { policy: 'No Name' }, 'name'],
    [{ windowMs: 1_000 }, { deadlineMs: 0 }, 'deadlineMs'],
  ])('refuses %j with %j', (options, extra, field) => {
    const store = new SpillwayStore({ store: memoryStore(), ...extra });
    expect(() => store.init(options as { windowMs: number })).toThrow(field);
  });

  it.each([7, 'p'.repeat(251), '\ud800'])('refuses the prefix %j at construction', (prefix) => {
    expect(() => new SpillwayStore({ store: memoryStore(), prefix: prefix as string })).toThrow('prefix must be');
  });
});
