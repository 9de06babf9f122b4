import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { SpillwayStore as ExpressStore } from './express-rate-limit/index.ts';
import { StoreReusedError } from './hit-counter.ts';
import { SpillwayStore as HonoStore } from './hono-rate-limiter/index.ts';
import { memoryStore } from './store/memory-store.ts';

const redis = useRedis();
const open: AnyStore[] = [];
afterEach(async () => {
  for (const store of open.splice(0)) await store.shutdown();
});

type AnyStore = ExpressStore | HonoStore;
type Options = { readonly prefix?: string };

const DAY_MS = 86_400_000;

const hitsOf = async (store: AnyStore, key: string): Promise<number | undefined> => (await store.get(key))?.totalHits;

/** What the store contracts of both libraries, and of rate-limit-redis, ask of a store: each as one of its users sees it. */
describe.each([
  ['express-rate-limit', ExpressStore],
  ['hono-rate-limiter', HonoStore],
] as const)('SpillwayStore for %s', (_, Store) => {
  async function overRedis(options: Options): Promise<AnyStore> {
    const client = redis.connect(hotPathOptions);
    await vi.waitUntil(() => client.status === 'ready');
    return new Store({ redis: client, deadlineMs: 10_000, ...options });
  }

  describe.each(['memory', 'Redis'] as const)('in %s', (place) => {
    const kept = memoryStore();

    async function make({ windowMs = 60_000, ...options }: Options & { readonly windowMs?: number } = {}) {
      const made: AnyStore = place === 'memory' ? new Store({ store: kept, ...options }) : await overRedis(options);
      open.push(made);
      made.init({ windowMs });
      return made;
    }

    it('counts from one, each key by itself, and tells when the window ends', async () => {
      const store = await make({ prefix: 'each:' });
      const before = Date.now();
      const first = await store.increment('one');
      expect(first.totalHits).toBe(1);
      expect(first.resetTime.getTime() - before).toBeGreaterThan(50_000);
      expect((await store.increment('one')).totalHits).toBe(2);
      expect((await store.increment('two')).totalHits).toBe(1);
    });

    it('goes on counting far past any limit', async () => {
      const store = await make({ prefix: 'past:' });
      const all = await Promise.all(Array.from({ length: 300 }, () => store.increment('k')));
      expect(all.map(({ totalHits }) => totalHits)).toEqual(Array.from({ length: 300 }, (_hit, index) => index + 1));
    });

    it('takes hits back down to none and never below', async () => {
      const store = await make({ prefix: 'down:' });
      await store.increment('k');
      await store.increment('k');
      await store.decrement('k');
      expect(await hitsOf(store, 'k')).toBe(1);
      for (let time = 0; time < 5; time += 1) await store.decrement('k');
      expect(await hitsOf(store, 'k')).toBeUndefined();
      expect((await store.increment('k')).totalHits).toBe(1);
    });

    it('takes back nothing from a key that was never hit', async () => {
      const store = await make({ prefix: 'never:' });
      await store.decrement('k');
      expect((await store.increment('k')).totalHits).toBe(1);
    });

    it('keeps the end of a window where its first hit put it', async () => {
      const store = await make({ prefix: 'end:' });
      const end = (await store.increment('k')).resetTime.getTime();
      const later = (await store.increment('k')).resetTime.getTime();
      expect(Math.abs(later - end)).toBeLessThan(10_000);
    });

    it('shows a key without counting, and forgets it', async () => {
      const store = await make({ prefix: 'show:' });
      expect(await store.get('k')).toBeUndefined();
      await store.increment('k');
      expect(await store.get('k')).toEqual({ totalHits: 1, resetTime: expect.any(Date) });
      expect(await hitsOf(store, 'k')).toBe(1);
      await store.resetKey('k');
      expect(await store.get('k')).toBeUndefined();
      expect((await store.increment('k')).totalHits).toBe(1);
    });

    it('keeps apart the same key under two prefixes, one of which may be empty', async () => {
      const one = await make({ prefix: '' });
      const other = await make({ prefix: 'other:' });
      await one.increment('k');
      expect((await one.increment('k')).totalHits).toBe(2);
      expect((await other.increment('k')).totalHits).toBe(1);
    });

    it.each([
      ['nothing', ['']],
      ['blanks', [' ', '  ']],
      ['numbers', [42 as unknown as string, 43 as unknown as string]],
      ['2,000 characters', [`${'k'.repeat(1_999)}a`, `${'k'.repeat(1_999)}b`]],
      ['lone surrogates', ['\ud800', '\ud801', '\ufffd']],
      ['NUL', ['a\0b', 'a\0c', 'a']],
      ['other scripts', ['ключ', '鍵', '🔑'.repeat(100)]],
      ['a hash in the look of a stored one', ['#abc', '=abc', 'abc']],
    ])('counts keys of %s, each by itself', async (_name, keys) => {
      const store = await make({ prefix: 'keys:' });
      for (const key of keys) {
        expect((await store.increment(key)).totalHits).toBe(1);
        expect((await store.increment(key)).totalHits).toBe(2);
        expect(await hitsOf(store, key)).toBe(2);
        await store.resetKey(key);
      }
    });

    it.each([0.5, 1.1 * 3 * 1_000, 30 * DAY_MS, 366 * DAY_MS])('has windows of %d ms', async (windowMs) => {
      const store = await make({ prefix: `${windowMs}:`, windowMs });
      const { totalHits, resetTime } = await store.increment('k');
      expect(totalHits).toBe(1);
      expect(resetTime.getTime() - Date.now()).toBeLessThanOrEqual(Math.ceil(windowMs));
    });

    it('belongs to one middleware: a second one fails both, and each call says why', async () => {
      const store = await make({ prefix: 'twice:' });
      expect(() => store.init({ windowMs: 1_000 })).toThrow(StoreReusedError);
      await expect(store.increment('k')).rejects.toThrow('belongs to another middleware');
      await expect(store.decrement('k')).rejects.toThrow(StoreReusedError);
    });
  });

  it('begins a new window when the last one is over, whatever was counted in it', async () => {
    let now = 1_800_000_000_000;
    const store = new Store({ store: memoryStore({ now: () => now }) });
    store.init({ windowMs: 1_000 });
    for (let hit = 0; hit < 50; hit += 1) await store.increment('k');
    now += 999;
    expect((await store.increment('k')).totalHits).toBe(51);
    now += 1;
    expect((await store.increment('k')).totalHits).toBe(1);
  });
});
