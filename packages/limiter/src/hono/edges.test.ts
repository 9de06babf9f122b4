import { Hono, type MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';
import { etag } from 'hono/etag';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { byIp } from '../http/by-ip.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { rateLimit, type RateLimitOptions } from './index.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const identify = (): string => 'somebody';

function limiterOf() {
  return createLimiter({
    store: memoryStore(),
    policies: [
      definePolicy({ name: 'global', limit: 100, windowMs: 60_000 }),
      definePolicy({ name: 'login', limit: 1, windowMs: 60_000 }),
      definePolicy({ name: 'four', limit: 4, windowMs: 60_000 }),
    ],
  });
}

function guardOf(options: Partial<RateLimitOptions> & Pick<RateLimitOptions, 'policy'>): MiddlewareHandler {
  return rateLimit({ limiter: limiterOf(), identify, ...options });
}

const figures = (response: Response): Record<string, string> =>
  Object.fromEntries([...response.headers].filter(([name]) => /rate|retry/.test(name)));

it('a guard outside of etag() tells its figures on a 304', async () => {
  const app = new Hono();
  app.use(guardOf({ policy: 'four' }), etag());
  app.get('/', (context) => context.text('in'));
  const tag = (await app.request('/')).headers.get('ETag') ?? '';
  const unchanged = await app.request('/', { headers: { 'If-None-Match': tag } });
  expect(unchanged.status).toBe(304);
  expect(figures(unchanged)).toMatchObject({ 'x-ratelimit-limit': '4', 'x-ratelimit-remaining': '2' });
});

describe('two guards behind each other', () => {
  it('tell of a refusal what refused, and nothing of what would have admitted', async () => {
    const limiter = limiterOf();
    const app = new Hono();
    app.use(guardOf({ limiter, policy: 'four' }), guardOf({ limiter, policy: 'global' }));
    app.use('/login', guardOf({ limiter, policy: 'login' }));
    app.get('/login', (context) => context.text('in'));
    await app.request('/login');
    const response = await app.request('/login');
    expect(response.status).toBe(429);
    expect(figures(response)).toMatchObject({
      'ratelimit-policy': '"login";q=1;w=60',
      ratelimit: expect.stringMatching(/^"login";r=0;t=(60|59)$/),
      'x-ratelimit-limit': '1',
      'x-ratelimit-remaining': '0',
    });
  });

  it('of the same policy for the same subject charge a request once', async () => {
    const limiter = limiterOf();
    const app = new Hono();
    app.use(guardOf({ limiter, policy: 'four' }), guardOf({ limiter, policy: 'four' }));
    app.get('/', (context) => context.text('in'));
    const response = await app.request('/');
    expect(response.headers.get('X-RateLimit-Remaining')).toBe('3');
    expect(await limiter.peek('four', 'somebody')).toMatchObject({ remaining: 3 });
  });

  it.each<[string, Partial<RateLimitOptions>]>([
    ['another cost', { cost: 2 }],
    ['another action', { action: 'export' }],
    ['another subject', { identify: () => 'a team' }],
  ])('are both charged where one has %s', async (_, other) => {
    const limiter = limiterOf();
    const charges = vi.spyOn(limiter, 'consume');
    const app = new Hono();
    app.use(guardOf({ limiter, policy: 'four' }), guardOf({ limiter, policy: 'four', ...other }));
    app.get('/', (context) => context.text('in'));
    await app.request('/');
    expect(charges).toHaveBeenCalledTimes(2);
  });
});

describe('a preflight of a browser', () => {
  const preflight = {
    method: 'OPTIONS',
    headers: { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST' },
  };

  it('passes uncharged to the CORS middleware behind the guard, for every client', async () => {
    const limiter = limiterOf();
    const app = new Hono().use(rateLimit({ limiter, policy: 'four' })).use(cors());
    for (let request = 0; request < 6; request += 1) expect((await app.request('/', preflight)).status).toBe(204);
    const known = new Hono().use(guardOf({ limiter, policy: 'four' })).use(cors());
    await known.request('/', preflight);
    expect(await limiter.peek('four', 'somebody')).toMatchObject({ remaining: 4 });
  });

  it.each([
    ['without an origin', { method: 'OPTIONS', headers: { 'Access-Control-Request-Method': 'POST' } }],
    ['that names no method', { method: 'OPTIONS', headers: { Origin: 'https://app.example' } }],
    ['that is a POST', { ...preflight, method: 'POST' }],
  ])('is none %s: that is charged', async (_, init) => {
    const limiter = limiterOf();
    await new Hono().use(guardOf({ limiter, policy: 'four' })).request('/', init);
    expect(await limiter.peek('four', 'somebody')).toMatchObject({ remaining: 3 });
  });
});

describe('an answer that cannot be changed', () => {
  // @hono/node-server puts a class of its own in the place of Response, in which an error has the status 200.
  beforeEach(() => {
    const behind: unknown = Object.getPrototypeOf(Response);
    if (behind !== Function.prototype) vi.stubGlobal('Response', behind);
  });
  afterEach(() => void vi.unstubAllGlobals());

  it.each<[string, () => Response, number]>([
    ['a redirect', () => Response.redirect('https://elsewhere.example/', 302), 302],
    ['an error without a status', () => Response.error(), 0],
  ])('passes: %s', async (_, answer, status) => {
    const app = new Hono().use(guardOf({ policy: 'four' })).get('/', answer);
    const response = await app.request('/', { headers: { Origin: 'https://app.example' } });
    expect(response.status).toBe(status);
    if (status === 302) expect(response.headers.get('X-RateLimit-Remaining')).toBe('3');
  });

  it('is handed on as the very same object when the connection becomes a WebSocket', async () => {
    const upgrade = new Response(null);
    vi.spyOn(upgrade, 'status', 'get').mockReturnValue(101);
    const app = new Hono().use(guardOf({ policy: 'four' })).get('/', () => upgrade);
    const response = await app.request('/', { headers: { Origin: 'https://app.example' } });
    expect(response).toBe(upgrade);
    expect([...response.headers]).toEqual([]);
  });
});

it('answers HEAD as GET, charged once and with the same figures', async () => {
  const app = new Hono().use(guardOf({ policy: 'four' })).get('/', (context) => context.text('in'));
  const head = await app.request('/', { method: 'HEAD' });
  expect([head.status, await head.text(), head.headers.get('X-RateLimit-Remaining')]).toEqual([200, '', '3']);
});

describe('without identify', () => {
  const onBun = { requestIP: () => ({ address: '203.0.113.1', family: 'IPv4', port: 1 }) };
  const onDeno = { remoteAddr: { transport: 'tcp', hostname: '203.0.113.1', port: 1 } };
  const http2 = { incoming: { socket: { remoteAddress: '203.0.113.1' } } };

  it.each([
    ['Bun', onBun],
    ['Bun, in an object', { server: onBun }],
    ['Deno', onDeno],
    ['Node, over HTTP/2', http2],
  ])('counts by the address of the connection, and by no header: %s', async (_, env) => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const limiter = limiterOf();
    const app = new Hono().use(rateLimit({ limiter, policy: 'login' })).get('/', (context) => context.text('in'));
    const statuses: number[] = [];
    for (const claim of ['198.51.100.1', '198.51.100.2']) {
      const headers = { 'X-API-Key': claim, 'X-Forwarded-For': claim, Forwarded: `for=${claim}` };
      statuses.push((await app.request('/', { headers }, env)).status);
    }
    expect(statuses).toEqual([200, 429]);
    expect(await limiter.peek('login', 'ip:203.0.113.1')).toMatchObject({ remaining: 0 });
  });

  it('fails each request, and says what to do, where nothing tells the address', async () => {
    const app = new Hono().use(rateLimit({ limiter: limiterOf(), policy: 'four' }));
    let told: unknown;
    app.onError((error, context) => {
      told = error;
      return context.text('failed', 500);
    });
    expect((await app.request('/', { headers: { 'X-API-Key': 'k1' } })).status).toBe(500);
    expect(String(told)).toMatch(/identify must be given here.*byJwtSubject/);
  });

  it('takes byIp with trusted proxies, which finds the connection by itself', async () => {
    const limiter = limiterOf();
    const trusting = byIp({ trustedProxies: ['203.0.113.0/24'] });
    const app = new Hono().use(rateLimit({ limiter, policy: 'four', identify: trusting }));
    await app.request('/', { headers: { 'X-Forwarded-For': '198.51.100.1' } }, onDeno);
    expect(await limiter.peek('four', 'ip:198.51.100.1')).toMatchObject({ remaining: 3 });
  });
});
