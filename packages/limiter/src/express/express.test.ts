import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { byIp } from '../http/by-ip.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { type NodeRequest, rateLimit, type RateLimitOptions } from './index.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const two = definePolicy({ name: 'two', limit: 2, windowMs: 60_000 });
const twoAMinute = () => createLimiter({ store: memoryStore(), policies: [two] });

async function listen(app: express.Express): Promise<string> {
  const server = app.listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const byHeader = ({ headers }: NodeRequest<express.Request>) => headers.get('X-API-Key') ?? undefined;

function appWith(extra: Partial<RateLimitOptions<express.Request>> = {}): express.Express {
  const app = express();
  app.use('/api', rateLimit<express.Request>({ limiter: twoAMinute(), policy: 'two', identify: byHeader, ...extra }));
  app.get('/api/articles', (_request, response) => void response.json({ title: 'in' }));
  app.use(((error: Error, _request, response, _next) => {
    response.status(500).json({ failed: error.message });
  }) as express.ErrorRequestHandler);
  return app;
}

const asDemo = { headers: { 'X-API-Key': 'demo' } };

async function outOfOrder(): Promise<string> {
  throw new Error('directory down');
}

describe('rateLimit for Express', () => {
  it('admits, refuses with a problem, and says what is left each time', async () => {
    const url = `${await listen(appWith())}/api/articles`;
    const first = await fetch(url, asDemo);
    expect([first.status, await first.json()]).toEqual([200, { title: 'in' }]);
    expect(first.headers.get('RateLimit')).toBe('"two";r=1;t=60');
    await fetch(url, asDemo);
    const refused = await fetch(url, asDemo);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('Content-Type')).toBe('application/problem+json');
    expect(refused.headers.get('Retry-After')).toBe('60');
    expect(await refused.json()).toMatchObject({ status: 429, 'violated-policies': ['two'] });
    expect((await fetch(url, { headers: { 'X-API-Key': 'other' } })).status).toBe(200);
    expect((await fetch(url)).status).toBe(400);
  });

  it('counts by the address of the connection without identify, whatever headers claim', async () => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const app = express();
    app.get('/', rateLimit({ limiter: twoAMinute(), policy: 'two' }), (_request, response) => void response.send('in'));
    const url = await listen(app);
    const statuses: number[] = [];
    for (const claim of ['1', '2', '3']) {
      const headers = { 'X-API-Key': claim, 'X-Forwarded-For': `198.51.100.${claim}` };
      statuses.push((await fetch(url, { headers })).status);
    }
    expect(statuses).toEqual([200, 200, 429]);
    vi.restoreAllMocks();
  });

  it('passes a preflight uncharged', async () => {
    const url = `${await listen(appWith())}/api/articles`;
    const preflight = { Origin: 'https://app.example', 'Access-Control-Request-Method': 'POST' };
    for (let request = 0; request < 4; request += 1) {
      expect((await fetch(url, { method: 'OPTIONS', headers: preflight })).status).toBe(200);
    }
    expect((await fetch(url, asDemo)).headers.get('X-RateLimit-Remaining')).toBe('1');
  });

  it('tells the figures of the policy that refuses, and charges a request once for one policy', async () => {
    const global = definePolicy({ name: 'global', limit: 100, windowMs: 60_000 });
    const limiter = createLimiter({ store: memoryStore(), policies: [two, global] });
    const app = express();
    for (const policy of ['global', 'two', 'two', 'global']) app.use(rateLimit({ limiter, policy }));
    app.get('/', (_request, response) => void response.send('in'));
    const url = await listen(app);
    await fetch(url);
    await fetch(url);
    const refused = await fetch(url);
    expect([refused.status, refused.headers.get('RateLimit-Policy')]).toEqual([429, '"two";q=2;w=60']);
    expect(await limiter.peek('global', 'ip:127.0.0.1')).toMatchObject({ remaining: 97 });
  });

  it('identifies by address behind trusted proxies', async () => {
    const identify = byIp<NodeRequest<express.Request>>({
      remoteAddress: ({ remoteAddress }) => remoteAddress,
      trustedProxies: ['127.0.0.1'],
    });
    const url = `${await listen(appWith({ identify }))}/api/articles`;
    const ask = async (client: string) => (await fetch(url, { headers: { 'X-Forwarded-For': client } })).status;
    expect([await ask('192.0.2.1'), await ask('192.0.2.1'), await ask('192.0.2.1')]).toEqual([200, 200, 429]);
    expect(await ask('192.0.2.2')).toBe(200);
  });

  it('identifies by what Express knows of the request', async () => {
    const app = appWith({ identify: ({ raw }) => raw.header('X-User') });
    const url = await listen(app);
    const ask = async (user: string) => (await fetch(`${url}/api/articles`, { headers: { 'X-User': user } })).status;
    expect([await ask('ada'), await ask('ada'), await ask('ada'), await ask('bob')]).toEqual([200, 200, 429, 200]);
  });

  it('adds to the headers that are exposed already', async () => {
    const app = express();
    app.use((_request, response, next) => {
      response.setHeader('Access-Control-Expose-Headers', ['X-Total', 'RATELIMIT']);
      next();
    });
    app.use(rateLimit({ limiter: twoAMinute(), policy: 'two' }));
    app.get('/', (_request, response) => void response.send('in'));
    const url = await listen(app);
    const answer = await fetch(url, { headers: { ...asDemo.headers, Origin: 'https://app.test' } });
    expect(answer.headers.get('Access-Control-Expose-Headers')).toBe(
      'X-Total, RATELIMIT, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset',
    );
  });

  it('hands errors of identify to Express', async () => {
    const answer = await fetch(`${await listen(appWith({ identify: outOfOrder }))}/api/articles`);
    expect([answer.status, await answer.json()]).toEqual([500, { failed: 'directory down' }]);
  });

  // Nest's `switchToHttp()` gives these in a resolver of GraphQL or behind a WebSocket: the promise rejected, and nobody heard.
  it.each<[string, unknown, unknown, string]>([
    ['no request', undefined, undefined, "request must be one of Node's HTTP server, not undefined"],
    ['a message', { data: 'hello' }, {}, 'request must be'],
    ['a Request', new Request('http://app.test/'), new Response(), 'request must be'],
    ['no response', { headers: {}, socket: {} }, undefined, 'response must be'],
    ['a Response', { headers: {}, socket: {} }, new Response(), 'response must be'],
  ])('hands %s to Express as an error, uncharged', async (_name, request, response, problem) => {
    const limiter = twoAMinute();
    const charges = vi.spyOn(limiter, 'consume');
    const told: unknown[] = [];
    const limit = rateLimit({ limiter, policy: 'two', identify: () => 'u' });
    await limit(request as never, response as never, (error) => told.push(error));
    expect(told.map(String)).toEqual([expect.stringContaining(problem)]);
    expect(charges).not.toHaveBeenCalled();
  });

  it('leaves alone an answer that somebody else has begun', async () => {
    const handled: string[] = [];
    const app = express();
    app.use((_request, response, next) => {
      response.send('timed out');
      next();
    });
    app.use(rateLimit({ limiter: twoAMinute(), policy: 'two' }));
    app.get('/', () => handled.push('too late'));
    expect(await (await fetch(await listen(app), asDemo)).text()).toBe('timed out');
    expect(handled).toEqual([]);
  });

  it('refuses a misspelt policy at construction', () => {
    expect(() => appWith({ policy: 'tow' })).toThrow('policy must be one of two, not "tow"');
  });

  it('gives a slot back when the answer has ended, and also when the client has gone away before', async () => {
    const one = definePolicy({ name: 'one', limit: 1, windowMs: 60_000, algorithm: 'concurrency' });
    const limiter = createLimiter({ store: memoryStore(), policies: [one] });
    const app = express();
    const waiting: (() => void)[] = [];
    app.use(rateLimit<express.Request>({ limiter, policy: 'one', identify: () => 'u' }));
    app.get('/', (_request, response) => void waiting.push(() => response.json({ title: 'in' })));
    const url = await listen(app);
    const free = async () => (await limiter.peek('one', 'u')).remaining;

    const answer = fetch(url);
    await expect.poll(() => waiting.length).toBe(1);
    expect((await fetch(url)).status).toBe(429);
    expect(await free()).toBe(0);
    waiting.shift()?.();
    expect((await answer).status).toBe(200);
    await expect.poll(free).toBe(1);

    const leaving = new AbortController();
    const gone = fetch(url, { signal: leaving.signal }).catch((error: unknown) => error);
    await expect.poll(() => waiting.length).toBe(1);
    leaving.abort();
    await gone;
    await expect.poll(free).toBe(1);
  });
});
