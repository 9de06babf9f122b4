import { once } from 'node:events';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { afterEach, describe, expect, it } from 'vitest';
import { byIp } from '../http/by-ip.ts';
import { firstOf } from '../http/identity.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { rateLimit, type RateLimitOptions } from './index.ts';

const servers: ReturnType<typeof serve>[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(app: Hono): Promise<string> {
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 });
  servers.push(server);
  await once(server, 'listening');
  const address = server.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

function limiterOf(...policies: readonly ReturnType<typeof definePolicy>[]): Limiter {
  return createLimiter({ store: memoryStore(), policies });
}

const two = definePolicy({ name: 'two', limit: 2, windowMs: 60_000 });
const slots = definePolicy({ name: 'slots', limit: 1, windowMs: 60_000, algorithm: 'concurrency' });

const byHeader = (request: Request): string | undefined => request.headers.get('X-API-Key') ?? undefined;

function appWith(extra: Partial<RateLimitOptions> = {}): Hono {
  const app = new Hono();
  app.use(rateLimit({ limiter: limiterOf(two), policy: 'two', identify: byHeader, ...extra }));
  app.get('/json', (context) => context.json({ title: 'in' }));
  app.get('/raw', () => new Response('in'));
  app.get('/broken', () => {
    throw new Error('broken');
  });
  return app;
}

const asDemo = { headers: { 'X-API-Key': 'demo' } };

describe('rateLimit on @hono/node-server', () => {
  it.each([
    ['/json', 200],
    ['/raw', 200],
    ['/broken', 500],
    ['/absent', 404],
  ])('tells on the answer to %s (%i) what is left', async (path, status) => {
    const url = await listen(appWith());
    const answer = await fetch(url + path, asDemo);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('RateLimit')).toBe('"two";r=1;t=60');
    expect(answer.headers.get('X-RateLimit-Remaining')).toBe('1');
  });

  it('refuses with a problem, also a request without an identity', async () => {
    const url = await listen(appWith());
    for (let request = 0; request < 2; request += 1) await fetch(`${url}/json`, asDemo);
    const refused = await fetch(`${url}/json`, asDemo);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('Content-Type')).toBe('application/problem+json');
    expect(refused.headers.get('Retry-After')).toBe('60');
    expect((await fetch(`${url}/json`)).status).toBe(400);
  });

  it('adds to the headers that pages of other origins may read', async () => {
    const app = new Hono();
    app.use(cors({ origin: '*', exposeHeaders: ['ETag'] }));
    app.route('/', appWith());
    const answer = await fetch(`${await listen(app)}/json`, { headers: { ...asDemo.headers, Origin: 'http://page' } });
    expect(answer.headers.get('Access-Control-Expose-Headers')).toMatch(/^ETag, RateLimit-Policy, RateLimit, /);
  });

  it('tells of a refusal what refused, and nothing of what would have admitted', async () => {
    const one = definePolicy({ name: 'one', limit: 1, windowMs: 60_000 });
    const limiter = limiterOf(two, one);
    const app = new Hono();
    for (const policy of ['two', 'one', 'two']) app.use(rateLimit({ limiter, policy }));
    app.get('/', () => Response.redirect('https://elsewhere.example/', 302));
    const url = await listen(app);
    const first = await fetch(url, { redirect: 'manual' });
    expect([first.status, first.headers.get('X-RateLimit-Remaining')]).toEqual([302, '0']);
    const refused = await fetch(url);
    expect([refused.status, refused.headers.get('RateLimit-Policy')]).toEqual([429, '"one";q=1;w=60']);
    expect(refused.headers.get('X-RateLimit-Remaining')).toBe('0');
    expect(await limiter.peek('two', 'ip:127.0.0.1')).toMatchObject({ remaining: 0 });
  });

  it('hands the request itself to a remoteAddress of one’s own', async () => {
    const addresses = new Map([['/json', '198.51.100.7']]);
    const identify = byIp({ remoteAddress: (request) => addresses.get(new URL(request.url).pathname) ?? '' });
    const limiter = limiterOf(two);
    const url = await listen(appWith({ limiter, identify: firstOf(identify, () => 'nobody') }));
    await fetch(`${url}/json`);
    await fetch(`${url}/raw`);
    for (const subject of ['ip:198.51.100.7', 'nobody']) {
      expect(await limiter.peek('two', subject)).toMatchObject({ remaining: 1 });
    }
  });

  it('hands identify the request itself', async () => {
    const url = await listen(appWith({ identify: (request) => new URL(request.url).searchParams.get('user') ?? '' }));
    const answer = await fetch(`${url}/json?user=u`);
    expect(answer.headers.get('RateLimit')).toBe('"two";r=1;t=60');
  });

  it('gives a slot back when the whole body has been sent, not when the handler has answered', async () => {
    const limiter = limiterOf(slots);
    const free = async () => (await limiter.peek('slots', 'u')).remaining;
    const app = new Hono();
    let end: (() => void) | undefined;
    app.use(rateLimit({ limiter, policy: 'slots', identify: () => 'u' }));
    app.get('/', () => {
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(new TextEncoder().encode('begun'));
          end = () => controller.close();
        },
      });
      return new Response(body);
    });
    const url = await listen(app);
    const answer = await fetch(url);
    expect(answer.status).toBe(200);
    expect(await free()).toBe(0);
    expect((await fetch(url)).status).toBe(429);
    end?.();
    await answer.text();
    await expect.poll(free).toBe(1);
  });
});

// Elsewhere the outer guard's figures and the guard's own headers won.
it.each(['on Node', 'elsewhere'])(
  'the guard next to the handler, and the handler itself, have the last word: %s',
  async (where) => {
    const one = definePolicy({ name: 'one', limit: 1, windowMs: 60_000 });
    for (const order of [
      ['two', 'one'],
      ['one', 'two'],
    ]) {
      const app = new Hono();
      const limiter = limiterOf(two, one);
      for (const policy of order) app.use(rateLimit({ limiter, policy, identify: ({ url }) => url }));
      app.get('/json', (context) => context.json({ title: 'in' }));
      app.get('/upstream', () => new Response('in', { headers: { 'X-RateLimit-Limit': '5000' } }));
      const url = where === 'on Node' ? await listen(app) : 'http://app.test';
      const ask = async (path: string): Promise<Response> =>
        where === 'on Node' ? fetch(url + path) : app.request(url + path);
      expect((await ask('/json')).headers.get('RateLimit-Policy')).toContain(`"${order[1]}"`);
      expect((await ask('/upstream')).headers.get('X-RateLimit-Limit')).toBe('5000');
    }
  },
);

it('elsewhere a slot is given back when the handler has answered or failed', async () => {
  const limiter = limiterOf(slots);
  const app = appWith({ limiter, policy: 'slots' });
  for (const path of ['/json', '/broken', '/raw']) {
    const answer = await app.request(path, asDemo);
    expect([path, answer.status]).toEqual([path, path === '/broken' ? 500 : 200]);
    expect(answer.headers.get('RateLimit')).toMatch(/^"slots";r=0/);
  }
});
