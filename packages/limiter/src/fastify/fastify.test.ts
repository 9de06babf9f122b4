import fastify, { type FastifyInstance } from 'fastify';
import { describe, expect, it, vi } from 'vitest';
import { byIp } from '../http/by-ip.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { rateLimit, type RateLimitOptions } from './index.ts';

const two = definePolicy({ name: 'two', limit: 2, windowMs: 60_000 });
const twoAMinute = () => createLimiter({ store: memoryStore(), policies: [two] });

const byHeader: NonNullable<RateLimitOptions['identify']> = ({ headers }) => headers.get('X-API-Key') ?? undefined;

function appWith(extra: Partial<RateLimitOptions> = {}): FastifyInstance {
  const app = fastify();
  app.addHook('onRequest', rateLimit({ limiter: twoAMinute(), policy: 'two', identify: byHeader, ...extra }));
  app.get('/', () => ({ title: 'in' }));
  return app;
}

const get = { method: 'GET', url: '/' } as const;
const asDemo = { ...get, headers: { 'x-api-key': 'demo' } };

async function outOfOrder(): Promise<string> {
  throw new Error('directory down');
}

describe('rateLimit for Fastify', () => {
  it('admits, refuses with a problem, and says what is left each time', async () => {
    const app = appWith();
    const first = await app.inject(asDemo);
    expect([first.statusCode, first.json()]).toEqual([200, { title: 'in' }]);
    expect(first.headers['ratelimit']).toBe('"two";r=1;t=60');
    await app.inject(asDemo);
    const refused = await app.inject(asDemo);
    expect(refused.statusCode).toBe(429);
    expect(refused.headers['content-type']).toContain('application/problem+json');
    expect(refused.headers['retry-after']).toBe('60');
    expect(refused.json()).toMatchObject({ status: 429, 'violated-policies': ['two'] });
    expect((await app.inject(get)).statusCode).toBe(400);
    await app.close();
  });

  it('counts by the address of the connection without identify, and passes a preflight uncharged', async () => {
    vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    const app = fastify();
    app.addHook('onRequest', rateLimit({ limiter: twoAMinute(), policy: 'two' }));
    app.get('/', () => 'in');
    app.options('/', () => 'ask');
    const preflight = { origin: 'https://app.example', 'access-control-request-method': 'POST' };
    const statuses: number[] = [];
    for (const claim of ['1', '2', '3']) {
      expect((await app.inject({ ...get, method: 'OPTIONS', headers: preflight })).statusCode).toBe(200);
      const headers = { 'x-api-key': claim, 'x-forwarded-for': `198.51.100.${claim}` };
      statuses.push((await app.inject({ ...get, headers })).statusCode);
    }
    expect(statuses).toEqual([200, 200, 429]);
    vi.restoreAllMocks();
    await app.close();
  });

  it('guards one route alone, and the handler of a refused request never runs', async () => {
    const app = fastify();
    let handled = 0;
    app.post('/exports', { onRequest: rateLimit({ limiter: twoAMinute(), policy: 'two', cost: 2 }) }, () => {
      handled += 1;
      return 'queued';
    });
    app.get('/', () => 'free');
    const post = { ...asDemo, method: 'POST', url: '/exports' } as const;
    expect([(await app.inject(post)).statusCode, (await app.inject(post)).statusCode]).toEqual([200, 429]);
    expect(handled).toBe(1);
    expect((await app.inject(get)).headers['ratelimit']).toBeUndefined();
    await app.close();
  });

  it('identifies by address behind trusted proxies, or by what Fastify knows', async () => {
    const trustedProxies = ['127.0.0.1'];
    for (const identify of [
      byIp<Parameters<NonNullable<RateLimitOptions['identify']>>[0]>({
        remoteAddress: ({ remoteAddress }) => remoteAddress,
        trustedProxies,
      }),
      ({ raw }: { readonly raw: { readonly headers: { readonly [name: string]: unknown } } }) =>
        String(raw.headers['x-forwarded-for']),
    ]) {
      const app = appWith({ identify });
      const ask = async (client: string) =>
        (await app.inject({ ...get, headers: { 'x-forwarded-for': client } })).statusCode;
      expect([await ask('192.0.2.1'), await ask('192.0.2.1'), await ask('192.0.2.1')]).toEqual([200, 200, 429]);
      expect(await ask('192.0.2.2')).toBe(200);
      await app.close();
    }
  });

  it('adds to the headers that are exposed already', async () => {
    const app = fastify();
    app.addHook('onRequest', async (_request, reply) => {
      reply.header('Access-Control-Expose-Headers', 'X-Total, RATELIMIT');
    });
    app.addHook('onRequest', rateLimit({ limiter: twoAMinute(), policy: 'two' }));
    app.get('/', () => 'in');
    const answer = await app.inject({ ...get, headers: { 'x-api-key': 'demo', origin: 'https://app.test' } });
    expect(answer.headers['access-control-expose-headers']).toBe(
      'X-Total, RATELIMIT, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset',
    );
    await app.close();
  });

  it('hands errors of identify to Fastify, and refuses a misspelt policy at construction', async () => {
    const app = appWith({ identify: outOfOrder });
    expect((await app.inject(get)).json()).toMatchObject({ statusCode: 500, message: 'directory down' });
    await app.close();
    expect(() => appWith({ policy: 'tow' })).toThrow('policy must be one of two, not "tow"');
  });

  it('gives a slot back when the answer has ended', async () => {
    const one = definePolicy({ name: 'one', limit: 1, windowMs: 60_000, algorithm: 'concurrency' });
    const limiter = createLimiter({ store: memoryStore(), policies: [one] });
    const app = fastify();
    const waiting: (() => void)[] = [];
    app.addHook('onRequest', rateLimit({ limiter, policy: 'one', identify: () => 'u' }));
    app.get('/', async () => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return { title: 'in' };
    });
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const answer = fetch(url);
    await expect.poll(() => waiting.length).toBe(1);
    expect((await fetch(url)).status).toBe(429);
    waiting.shift()?.();
    expect((await answer).status).toBe(200);
    await expect.poll(async () => (await limiter.peek('one', 'u')).remaining).toBe(1);
    await app.close();
  });
});
