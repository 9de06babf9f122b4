import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { Hono } from 'hono';
import { type HonoConfigProps, rateLimiter } from 'hono-rate-limiter';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { unavailableDecision as unavailable } from '../decision.ts';
import { memoryStore } from '../store/memory-store.ts';
import { SpillwayStore, type SpillwayStoreOptions, StoreNotInitializedError, StoreReusedError } from './index.ts';

const redis = useRedis();
const stores: SpillwayStore[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.shutdown();
});

async function inRedis(options: Partial<SpillwayStoreOptions> = {}): Promise<SpillwayStore> {
  const client = redis.connect(hotPathOptions);
  await vi.waitUntil(() => client.status === 'ready');
  const store = new SpillwayStore({ redis: client, deadlineMs: 10_000, ...options } as SpillwayStoreOptions);
  stores.push(store);
  return store;
}

const keyGenerator: HonoConfigProps['keyGenerator'] = (context) => context.req.header('X-User') ?? 'nobody';

const limit: HonoConfigProps['limit'] = (context) => (context.req.header('X-User') === 'gold' ? 4 : 2);

/** A real app with the library's middleware, and what it takes to ask it. */
function serve(options: Partial<HonoConfigProps> & { readonly store: SpillwayStore }) {
  const app = new Hono();
  app.use(rateLimiter({ windowMs: 60_000, limit: 3, standardHeaders: 'draft-7', keyGenerator, ...options }));
  app.get('/', (context) => context.text('done', Number(context.req.query('status') ?? 200) as 200));
  const ask = async (user: string, status = 200): Promise<Response> =>
    app.request(`/?status=${status}`, { headers: { 'X-User': user } });
  const statuses = async (times: number, user = 'ada', status = 200): Promise<number[]> => {
    const all: number[] = [];
    for (let request = 0; request < times; request += 1) all.push((await ask(user, status)).status);
    return all;
  };
  return { ask, statuses };
}

describe('SpillwayStore in hono-rate-limiter', () => {
  it('counts, and refuses beyond the limit with the library’s own headers', async () => {
    const { ask, statuses } = serve({ store: await inRedis() });
    expect((await ask('ada')).headers.get('RateLimit')).toBe('limit=3, remaining=2, reset=60');
    expect(await statuses(3)).toEqual([200, 200, 429]);
    const refused = await ask('ada');
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(50);
    expect(Number(refused.headers.get('Retry-After'))).toBeLessThanOrEqual(60);
    expect(await statuses(1, 'bob')).toEqual([200]);
  });

  it('shares counts between two processes’ stores and keeps prefixes apart', async () => {
    const one = serve({ store: await inRedis({ prefix: 'a:' }) });
    const same = serve({ store: await inRedis({ prefix: 'a:' }) });
    const other = serve({ store: await inRedis({ prefix: 'b:' }) });
    expect(await one.statuses(2)).toEqual([200, 200]);
    expect(await same.statuses(2)).toEqual([200, 429]);
    expect(await other.statuses(1)).toEqual([200]);
  });

  it('takes back failed requests', async () => {
    const store = await inRedis();
    const { statuses } = serve({ store, skipFailedRequests: true });
    expect(await statuses(5, 'ada', 503)).toEqual([503, 503, 503, 503, 503]);
    expect(await store.get('ada')).toBeUndefined();
    expect(await statuses(6)).toEqual([200, 200, 200, 429, 429, 429]);
    // The library takes a refusal for a success, which stays counted here.
    expect(await store.get('ada')).toMatchObject({ totalHits: 6 });
  });

  it('takes back successful requests, and for a refusal no more than its own hit', async () => {
    const store = await inRedis();
    const { statuses } = serve({ store, skipSuccessfulRequests: true });
    expect(await statuses(5)).toEqual([200, 200, 200, 200, 200]);
    expect(await store.get('ada')).toBeUndefined();
    // The library takes a refusal for a success, and takes it back.
    const refusals = Array.from({ length: 30 }, () => 429);
    expect(await statuses(33, 'ada', 404)).toEqual([404, 404, 404, ...refusals]);
    expect(await store.get('ada')).toMatchObject({ totalHits: 3 });
  });

  it('lets a client that keeps trying in again with each window', async () => {
    let now = 1_800_000_000_000;
    const { statuses } = serve({
      store: new SpillwayStore({ store: memoryStore({ now: () => now }) }),
      windowMs: 600,
      limit: () => 2,
    });
    const all: number[] = [];
    for (let request = 0; request < 9; request += 1) {
      all.push(...(await statuses(1)));
      now += 200;
    }
    expect(all).toEqual([200, 200, 429, 200, 200, 429, 200, 200, 429]);
  });

  it('limits requests without the header that its key is made of as one client', async () => {
    const { statuses } = serve({
      store: await inRedis(),
      keyGenerator: (context) => context.req.header('X-API-Key') ?? '',
    });
    expect(await statuses(4)).toEqual([200, 200, 200, 429]);
  });

  it('gives back nothing for requests that an outage left uncounted', async () => {
    let away = false;
    const inMemory = memoryStore();
    const store = new SpillwayStore({
      store: { ...inMemory, consume: async (r) => (away ? unavailable(r.policy, 'no_answer') : inMemory.consume(r)) },
    });
    const { statuses } = serve({ store, skipSuccessfulRequests: true });
    await statuses(2, 'ada', 404);
    away = true;
    expect(await statuses(3)).toEqual([200, 200, 200]);
    away = false;
    expect(await store.get('ada')).toMatchObject({ totalHits: 2 });
  });

  it('shows and forgets a key', async () => {
    const store = await inRedis();
    const { statuses } = serve({ store });
    await statuses(2);
    expect(await store.get('ada')).toEqual({ totalHits: 2, resetTime: expect.any(Date) });
    await store.resetKey('ada');
    expect(await store.get('ada')).toBeUndefined();
    expect(await statuses(4)).toEqual([200, 200, 200, 429]);
  });

  it('holds a limit that is a function of the request', async () => {
    const { statuses } = serve({ store: await inRedis(), limit });
    expect(await statuses(5, 'gold')).toEqual([200, 200, 200, 200, 429]);
    expect(await statuses(3, 'tin')).toEqual([200, 200, 429]);
  });

  it('refuses to belong to two middlewares', async () => {
    const store = await inRedis();
    serve({ store });
    expect(() => serve({ store })).toThrow(StoreReusedError);
  });

  it('admits while Redis is away, or refuses where it is told to, and never fails a request', async () => {
    const client = new Redis('redis://127.0.0.1:1', hotPathOptions);
    client.on('error', () => undefined);
    onTestFinished(() => client.disconnect());
    const away = { redis: client, deadlineMs: 20 };
    const open = serve({ store: new SpillwayStore(away), skipSuccessfulRequests: true });
    expect(await open.statuses(5)).toEqual([200, 200, 200, 200, 200]);
    const closed = serve({ store: new SpillwayStore({ ...away, onUnavailable: 'closed' }) });
    expect(await closed.statuses(2)).toEqual([429, 429]);
  });

  it('does nothing before init', async () => {
    const store = new SpillwayStore({ store: memoryStore() });
    await expect(store.increment('ada')).rejects.toThrow(StoreNotInitializedError);
    expect([store.prefix, store.localKeys]).toEqual(['rl:', false]);
  });

  it.each([
    [{ onUnavailable: 'maybe' as 'open' }, 'onUnavailable'],
    [{ onUnavailable: 'local' as 'open' }, 'onUnavailable'],
    [{ prefix: 'p'.repeat(251) }, 'prefix'],
  ])('refuses %j at construction', (options, field) => {
    expect(() => new SpillwayStore({ store: memoryStore(), ...options })).toThrow(field);
  });
});
