import type { RedisFixture } from '@spillway/local-servers/testing';
import { describe, expect, it, vi } from 'vitest';
import type { RunExample } from './run-example.ts';

/** What {@link examplesWork} needs. */
export interface ExamplesWorkOptions {
  readonly redis: RedisFixture;
  readonly run: RunExample;
}

async function statusesOf(url: string, count: number, init?: RequestInit): Promise<readonly number[]> {
  const statuses: number[] = [];
  for (let request = 0; request < count; request += 1) statuses.push((await fetch(url, init)).status);
  return statuses;
}

/** The tests of all examples that are processes, however they are run. */
export function examplesWork({ redis, run }: ExamplesWorkOptions): void {
  describe('hono-middleware', () => {
    it('serves, limits each route by its own policy, and ends on SIGTERM', async () => {
      const example = run('hono-middleware', { REDIS_URL: redis.url, PORT: '0' });
      const url = await vi.waitUntil(() => /http:\S+/.exec(example.output())?.[0], { timeout: 20_000 });
      const articles = await fetch(`${url}/api/articles`);
      expect(articles.status).toBe(200);
      expect(articles.headers.get('X-RateLimit-Limit')).toBe('100');

      const statuses: number[] = [];
      for (let request = 0; request < 4; request += 1) {
        statuses.push((await fetch(`${url}/api/exports`, { method: 'POST' })).status);
      }
      expect(statuses).toEqual([202, 202, 202, 429]);
      example.child.kill('SIGTERM');
      expect(await example.exited()).toBe(0);
    });
  });

  describe('express-middleware', () => {
    it('limits its API by address and by key, and keeps an older setup on a new store', async () => {
      const example = run('express-middleware', { REDIS_URL: redis.url, PORT: '0' });
      const url = await vi.waitUntil(() => /http:\S+/.exec(example.output())?.[0], { timeout: 20_000 });
      const anonymous = await fetch(`${url}/api/articles`);
      expect([anonymous.status, anonymous.headers.get('X-RateLimit-Remaining')]).toEqual([200, '99']);
      const keyed = await fetch(`${url}/api/articles`, { headers: { 'X-API-Key': 'demo' } });
      expect(keyed.headers.get('X-RateLimit-Remaining')).toBe('99');
      const left: (string | null)[] = [];
      for (const key of ['made-up-1', 'made-up-2']) {
        const madeUp = await fetch(`${url}/api/articles`, { headers: { 'X-API-Key': key } });
        left.push(madeUp.headers.get('X-RateLimit-Remaining'));
      }
      expect(left).toEqual(['99', '98']);

      const statuses: number[] = [];
      for (let request = 0; request < 4; request += 1) {
        statuses.push((await fetch(`${url}/sign-in`, { method: 'POST' })).status);
      }
      expect(statuses).toEqual([204, 204, 204, 429]);
      example.child.kill('SIGTERM');
      expect(await example.exited()).toBe(0);
    });
  });

  describe('fastify-hook', () => {
    it('limits a route more strictly than the rest, and tells its metrics', async () => {
      const example = run('fastify-hook', { REDIS_URL: redis.url, PORT: '0' });
      const url = await vi.waitUntil(() => /http:\S+/.exec(example.output())?.[0], { timeout: 20_000 });
      expect((await fetch(`${url}/articles`)).headers.get('X-RateLimit-Limit')).toBe('100');
      const statuses: number[] = [];
      for (let request = 0; request < 4; request += 1) {
        statuses.push((await fetch(`${url}/exports`, { method: 'POST' })).status);
      }
      expect(statuses).toEqual([202, 202, 202, 429]);
      const metrics = await (await fetch(`${url}/metrics`)).text();
      expect(metrics).toContain('spillway_limiter_decisions_total{policy="exports",outcome="limited"} 1');
      expect(metrics).toContain('spillway_limiter_decisions_total{policy="standard",outcome="allowed"} 5');
      expect(example.output()).toContain('near the limit of exports: 1 left');
      example.child.kill('SIGTERM');
      expect(await example.exited()).toBe(0);
    });
  });

  describe('node-http', () => {
    it('limits a server without a framework by address', async () => {
      const example = run('node-http', { REDIS_URL: redis.url, PORT: '0' });
      const url = await vi.waitUntil(() => /http:\S+/.exec(example.output())?.[0], { timeout: 20_000 });
      expect(await statusesOf(url, 4)).toEqual([202, 202, 202, 429]);
      example.child.kill('SIGTERM');
      expect(await example.exited()).toBe(0);
    });
  });

  describe('fetch-handler', () => {
    it('limits handlers of a Request by key, and puts the headers on their answers', async () => {
      const example = run('fetch-handler', { REDIS_URL: redis.url, PORT: '0' });
      const url = await vi.waitUntil(() => /http:\S+/.exec(example.output())?.[0], { timeout: 20_000 });
      const demo = { headers: { 'X-API-Key': 'demo', Origin: 'https://app.test' } };
      const first = await fetch(url, demo);
      expect([first.status, await first.json()]).toEqual([202, { state: 'queued' }]);
      expect(first.headers.get('RateLimit')).toBe('"exports";r=2;t=10');
      expect(first.headers.get('Access-Control-Expose-Headers')).toContain('RateLimit');
      expect(await statusesOf(url, 3, demo)).toEqual([202, 202, 429]);
      expect(await statusesOf(url, 1)).toEqual([400]);
      example.child.kill('SIGTERM');
      expect(await example.exited()).toBe(0);
    });
  });

  describe('nestjs-guard', () => {
    it('limits a handler by the policy of its decorator, and all others by the standard one', async () => {
      const example = run('nestjs-guard', { REDIS_URL: redis.url, PORT: '0' });
      const url = await vi.waitUntil(() => /http:\S+/.exec(example.output())?.[0], { timeout: 20_000 });
      expect((await fetch(`${url}/articles`)).headers.get('X-RateLimit-Limit')).toBe('100');
      expect(await statusesOf(`${url}/exports`, 3, { method: 'POST' })).toEqual([202, 202, 202]);
      const refused = await fetch(`${url}/exports`, { method: 'POST' });
      expect([refused.status, refused.headers.get('Retry-After')]).toEqual([429, expect.stringMatching(/^\d+$/u)]);
      expect(await refused.json()).toMatchObject({ status: 429, 'violated-policies': ['exports'] });
      expect((await fetch(`${url}/articles`)).status).toBe(200);
      example.child.kill('SIGTERM');
      expect(await example.exited()).toBe(0);
    });
  });

  describe('breaker-with-retry', () => {
    it('retries until it works, and stops once the breaker is open', async () => {
      const example = run('breaker-with-retry', { REDIS_URL: redis.url });
      expect(await example.exited()).toBe(0);
      expect(example.output()).toBe(
        'worked at attempt 3\ngave up after 4 attempts: circuit thumbnails/resizer is open\n',
      );
    });
  });

  describe('breaker-with-bulkhead', () => {
    it('keeps a healthy dependency reachable however much its bulkhead rejects', async () => {
      const example = run('breaker-with-bulkhead', { REDIS_URL: redis.url });
      expect(await example.exited()).toBe(0);
      expect(example.output()).toBe(
        '4 uploaded, 16 rejected by the bulkhead\nthe breaker is closed\nstored at attempt 2\n',
      );
    });
  });

  describe('plain-consume', () => {
    it('prints its three decisions and ends', async () => {
      const example = run('plain-consume', { REDIS_URL: redis.url });
      expect(await example.exited()).toBe(0);
      expect(example.output()).toMatch(
        /^cost 6: allowed, 4 left\ncost 6: denied, 4 left, would fit in (59|60) s\ncost 4: allowed, 0 left\n$/,
      );
    });
  });
}
