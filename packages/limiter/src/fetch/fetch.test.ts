import { describe, expect, it } from 'vitest';
import { LimiterInputError } from '../errors.ts';
import { byApiKey, byJwtSubject } from '../http/identity.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import { definePolicy, tiers } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { applyRateLimit, configureRateLimit, RateLimitNotConfiguredError } from './index.ts';

const request = (key?: string): Request =>
  new Request('http://api.test/', key === undefined ? {} : { headers: { 'X-API-Key': key } });

const identify = byApiKey({ verify: () => true });

const askAs = (user: string) => applyRateLimit(new Request(`http://api.test/?user=${user}`), 'auth', 'sign-in');

describe('applyRateLimit', () => {
  it('says how to configure it when nobody has', async () => {
    const error: unknown = await applyRateLimit(request('demo'), 'auth', 'sign-in').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RateLimitNotConfiguredError);
    expect(String(error)).toContain('configureRateLimit({ limiter');
  });

  it('answers null within the limit and the refusal beyond it', async () => {
    configureRateLimit({ limiter: createLimiter({ store: memoryStore(), policies: tiers }), identify });
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await expect(applyRateLimit(request('demo'), 'auth', 'sign-in')).resolves.toBeNull();
    }
    const refusal = await applyRateLimit(request('demo'), 'auth', 'sign-in');
    expect(refusal?.status).toBe(429);
    expect(refusal?.headers.get('Retry-After')).toBe('900');
    await expect(applyRateLimit(request('other'), 'auth', 'sign-in')).resolves.toBeNull();
    await expect(applyRateLimit(request('demo'), 'auth', 'sign-up')).resolves.toBeNull();
  });

  it('answers 400 to a request without a key, and rejects for an unknown tier', async () => {
    configureRateLimit({ limiter: createLimiter({ store: memoryStore(), policies: tiers }), identify });
    expect((await applyRateLimit(request(), 'auth', 'sign-in'))?.status).toBe(400);
    await expect(applyRateLimit(request('demo'), 'guest', 'sign-in')).rejects.toBeInstanceOf(LimiterInputError);
  });

  it('asks a function of one’s own who is there, and checks the options it is given', async () => {
    const limiter = createLimiter({ store: memoryStore(), policies: tiers });
    configureRateLimit({ limiter, identify: ({ url }) => new URL(url).searchParams.get('user') ?? undefined });
    for (let attempt = 0; attempt < 5; attempt += 1) await askAs('ada');
    expect((await askAs('ada'))?.status).toBe(429);
    expect(await askAs('bob')).toBeNull();
    expect(() => configureRateLimit({ limiter, identify, retryJitter: 2 })).toThrow(
      'retryJitter must be a share from 0 to 1',
    );
  });

  it('exposes the headers of a refusal to pages of other origins', async () => {
    configureRateLimit({ limiter: createLimiter({ store: memoryStore(), policies: tiers }), identify });
    const crossOrigin = new Request('http://api.test/', { headers: { 'X-API-Key': 'k', Origin: 'https://app.test' } });
    for (let attempt = 0; attempt < 5; attempt += 1) await applyRateLimit(crossOrigin, 'auth', 'sign-in');
    const refusal = await applyRateLimit(crossOrigin, 'auth', 'sign-in');
    expect(refusal?.headers.get('Access-Control-Expose-Headers')).toContain('Retry-After');
  });

  it('never lets the key itself become the subject', async () => {
    const seen: string[] = [];
    const limiter = createLimiter({ store: memoryStore(), policies: tiers });
    const spying = {
      ...limiter,
      consume: async (...args: Parameters<typeof limiter.consume>) => {
        seen.push(args[1]);
        return limiter.consume(...args);
      },
    };
    configureRateLimit({ limiter: spying, identify });
    await applyRateLimit(request('my-secret-key'), 'auth', 'sign-in');
    expect(seen).toEqual([expect.stringMatching(/^api_key:[0-9a-f]{32}$/)]);
  });

  // A Supabase client sends these two, and a browser asks first.
  it('serves a Supabase client in a browser: preflight, answers by user, and a refusal that its page can read', async () => {
    const limiter = createLimiter({ store: memoryStore(), policies: tiers });
    const corsHeaders = {
      'Access-Control-Allow-Origin': '*',
      'Access-Control-Allow-Headers': 'authorization, apikey, content-type, x-client-info',
      'access-control-expose-headers': 'X-Total',
    };
    const users: Record<string, { readonly sub?: string }> = {
      ada: { sub: 'ada' },
      bob: { sub: 'bob' },
      anonymous: {},
    };
    configureRateLimit({
      limiter,
      identify: byJwtSubject({ verify: (token) => users[token] ?? {} }),
      refusalHeaders: corsHeaders,
    });
    const Origin = 'https://app.example';
    const serve = async (init: RequestInit): Promise<Response> => {
      const asked = new Request('http://api.test/functions/v1/generate', init);
      if (asked.method === 'OPTIONS' && (await applyRateLimit(asked, 'auth', 'generate')) === null) {
        return new Response('ok', { headers: corsHeaders });
      }
      return (await applyRateLimit(asked, 'auth', 'generate')) ?? new Response('done', { headers: corsHeaders });
    };
    const as = async (token: string): Promise<Response> =>
      serve({ method: 'POST', headers: { Origin, Authorization: `Bearer ${token}`, apikey: 'the same for all' } });
    const preflight = { Origin, 'Access-Control-Request-Method': 'POST' };
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 6; attempt += 1) {
      expect((await serve({ method: 'OPTIONS', headers: preflight })).status).toBe(200);
      statuses.push((await as('ada')).status);
    }
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429]);
    const refusal = await as('ada');
    expect(refusal.headers.get('Access-Control-Allow-Origin')).toBe('*');
    expect(refusal.headers.get('Access-Control-Expose-Headers')).toMatch(/^X-Total, .*Retry-After/);
    expect(refusal.headers.get('Content-Type')).toBe('application/problem+json');
    expect((await as('bob')).status).toBe(200);
    const nobody = await as('anonymous');
    expect([nobody.status, nobody.headers.get('Access-Control-Allow-Origin')]).toEqual([400, '*']);
  });

  it('can be configured again for a while, and restores the configuration before', async () => {
    const limiterOfMany = createLimiter({ store: memoryStore(), policies: tiers });
    const limiterOfOne = createLimiter({
      store: memoryStore(),
      policies: [definePolicy({ name: 'auth', limit: 1, windowMs: 60_000 })],
    });
    configureRateLimit({ limiter: limiterOfMany, identify });
    const restore = configureRateLimit({ limiter: limiterOfOne, identify });
    expect(await applyRateLimit(request('demo'), 'auth', 'sign-in')).toBeNull();
    expect((await applyRateLimit(request('demo'), 'auth', 'sign-in'))?.status).toBe(429);
    restore();
    expect(await applyRateLimit(request('demo'), 'auth', 'sign-in')).toBeNull();
  });

  it.each<[string, object, string]>([
    ['without identify', { identify: undefined }, 'identify must be given'],
    ['with an unknown option', { policy: 'auth' }, 'options.policy is not an option'],
    ['with no limiter', { limiter: {} }, 'limiter must be'],
    ['with headers that cannot be sent', { refusalHeaders: { 'Bad Name': 'x' } }, 'refusalHeaders must be'],
    ['with headers that are none', { refusalHeaders: 'cors' }, 'refusalHeaders must be'],
  ])('cannot be configured %s', (_, wrong, problem) => {
    const limiter = createLimiter({ store: memoryStore(), policies: tiers });
    expect(() => configureRateLimit({ limiter, identify, ...wrong })).toThrow(problem);
  });
});
