import { type Context, Hono } from 'hono';
import { cors } from 'hono/cors';
import { describe, expect, it } from 'vitest';
import { parseRateLimit } from '../../test/parse-rate-limit.ts';
import { createLimiter } from '../limiter/create-limiter.ts';
import type { Limiter } from '../limiter/limiter.ts';
import { definePolicy } from '../policy.ts';
import { memoryStore } from '../store/memory-store.ts';
import { rateLimit } from './index.ts';

function twoAMinute(): Limiter {
  const two = definePolicy({ name: 'two', limit: 2, windowMs: 60_000, blockMs: 30_000 });
  return createLimiter({ store: memoryStore(), policies: [two] });
}

const byHeader = (request: Request): string | undefined => request.headers.get('X-API-Key') ?? undefined;

function appWith(extra: Partial<Parameters<typeof rateLimit>[0]> = {}): Hono {
  const app = new Hono();
  app.use('/limited', rateLimit({ limiter: twoAMinute(), policy: 'two', identify: byHeader, ...extra }));
  app.get('/limited', (context) => context.text('in'));
  app.get('/free', () => new Response('free'));
  return app;
}

const asDemo = { headers: { 'X-API-Key': 'demo' } };

describe('rateLimit', () => {
  it('admits within the limit and says what is left', async () => {
    const response = await appWith().request('/limited', asDemo);
    expect([response.status, await response.text()]).toEqual([200, 'in']);
    expect(response.headers.get('RateLimit')).toBe('"two";r=1;t=60');
    expect(response.headers.get('X-RateLimit-Limit')).toBe('2');
  });

  it('refuses beyond it with 429 and a problem document', async () => {
    const app = appWith();
    for (let request = 0; request < 2; request += 1) await app.request('/limited', asDemo);
    const response = await app.request('/limited', asDemo);
    expect(response.status).toBe(429);
    // The block is over in half of that, and the window still full.
    expect(response.headers.get('Retry-After')).toBe('60');
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#abnormal-usage-detected',
      status: 429,
      'violated-policies': ['two'],
      retryAfter: 60,
      error: 'Rate limit exceeded',
    });
  });

  it('answers 400 when nobody says who is asking', async () => {
    const response = await appWith().request('/limited');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ field: 'identity' }] });
  });

  it.each([null, undefined, Promise.resolve(null)])('takes %s for nobody', async (nobody) => {
    const response = await appWith({ identify: () => nobody as undefined }).request('/limited');
    expect(response.status).toBe(400);
  });

  // The client was told that its subject must be text, which was the program's mistake.
  it('fails the request when identify answers with something else than text', async () => {
    const app = appWith({ identify: () => 42 as unknown as string });
    const told: string[] = [];
    app.onError((error, context) => {
      told.push(error.message);
      return context.text('failed', 500);
    });
    expect((await app.request('/limited')).status).toBe(500);
    expect(told).toEqual(['identify must answer with text, undefined or a promise of them, not 42']);
  });

  it.each([undefined, null, 'no', { status: 429 }])('fails the request when onRefused answers with %j', async (own) => {
    const app = appWith({ onRefused: () => own as never, identify: () => undefined });
    app.onError((error, context) => context.text(error.message, 500));
    const response = await app.request('/limited');
    expect([response.status, await response.text()]).toEqual([
      500,
      expect.stringContaining('onRefused must answer with a Response'),
    ]);
  });

  it('answers 400 to a subject that cannot be used', async () => {
    const app = appWith({ identify: () => 'x'.repeat(2_000) });
    const response = await app.request('/limited');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ field: 'subject' }] });
  });

  it('asks a function of one’s own who is there, and gives it what earlier middleware found out', async () => {
    const seen: string[] = [];
    const identify = async (request: Request, context: Context): Promise<string | undefined> => {
      seen.push(new URL(request.url).pathname);
      return context.req.header('X-User');
    };
    const app = appWith({ identify });
    const statuses: number[] = [];
    for (const user of ['ada', 'ada', 'ada', 'bob']) {
      statuses.push((await app.request('/limited', { headers: { 'X-User': user } })).status);
    }
    expect(statuses).toEqual([200, 200, 429, 200]);
    expect(seen[0]).toBe('/limited');
    expect((await app.request('/limited')).status).toBe(400);
  });

  const fromElsewhere = { headers: { ...asDemo.headers, Origin: 'https://app.test' } };
  const exposed = 'RateLimit-Policy, RateLimit, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset';

  it('lets pages of other origins read the headers, admitted or refused', async () => {
    const app = appWith();
    const answers: (string | null)[] = [];
    for (let request = 0; request < 3; request += 1) {
      answers.push((await app.request('/limited', fromElsewhere)).headers.get('Access-Control-Expose-Headers'));
    }
    expect(answers).toEqual([exposed, exposed, `${exposed}, Retry-After`]);
    expect((await app.request('/limited', asDemo)).headers.get('Access-Control-Expose-Headers')).toBeNull();
  });

  it('does not when told so', async () => {
    const answer = await appWith({ exposeHeaders: false }).request('/limited', fromElsewhere);
    expect(answer.headers.get('Access-Control-Expose-Headers')).toBeNull();
  });

  it('adds to what Hono’s cors() exposes, before it and after it, without saying anything twice', async () => {
    for (const corsFirst of [true, false]) {
      const app = new Hono();
      const limit = rateLimit({ limiter: twoAMinute(), policy: 'two', identify: byHeader });
      const share = cors({ origin: '*', exposeHeaders: ['X-Total', 'ratelimit'] });
      app.use(...(corsFirst ? [share, limit] : [limit, share]));
      app.get('/', (context) => context.text('in'));
      const values: string[] = [];
      for (let request = 0; request < 3; request += 1) {
        const answer = await app.request('/', fromElsewhere);
        values.push(`${answer.status} ${answer.headers.get('Access-Control-Expose-Headers')}`);
      }
      const both = exposed
        .replace('RateLimit, ', '')
        .replace('RateLimit-Policy', 'X-Total,ratelimit, RateLimit-Policy');
      expect(values[0]?.replaceAll(', ', ',')).toBe(`200 ${both}`.replaceAll(', ', ','));
      // A refusal in front of cors() never reaches it.
      const refused = corsFirst ? `${both}, Retry-After` : `${exposed}, Retry-After`;
      expect(values[2]?.replaceAll(', ', ',')).toBe(`429 ${refused}`.replaceAll(', ', ','));
    }
  });

  it('asks refused clients to wait longer by up to the jitter, the same in header, field and body', async () => {
    const app = appWith({ retryJitter: 1 });
    for (let request = 0; request < 2; request += 1) await app.request('/limited', asDemo);
    const waits: number[] = [];
    for (let request = 0; request < 40; request += 1) {
      const answer = await app.request('/limited', asDemo);
      const wait = Number(answer.headers.get('Retry-After'));
      expect(parseRateLimit(answer.headers).limits[0]?.resetSeconds).toBe(wait);
      expect(await answer.json()).toMatchObject({ retryAfter: wait });
      waits.push(wait);
    }
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(59);
    expect(Math.max(...waits)).toBeLessThanOrEqual(120);
    expect(new Set(waits).size).toBeGreaterThan(5);
  });

  it('leaves other routes alone', async () => {
    const response = await appWith().request('/free');
    expect([response.status, response.headers.get('RateLimit')]).toEqual([200, null]);
  });

  it.each([
    [{ policy: 'tow' }, 'policy'],
    [{ policy: [] }, 'policy'],
    [{ policy: ['two', 'tow'] }, 'policy'],
    [{ policy: ['two', 'two'] }, 'policy must not name "two" twice'],
    [{ cost: 3 }, 'cost'],
    [{ action: '' }, 'action'],
    [{ retryJitter: 1.5 }, 'retryJitter'],
    [{ retryJitter: -0.1 }, 'retryJitter'],
    [{ exposeHeaders: 'yes' as unknown as boolean }, 'exposeHeaders'],
    [{ identify: 'me' as never }, 'identify'],
    [{ policy: 7 as never }, 'policy'],
    [{ cost: '1' as never }, 'cost'],
    [{ headers: 'all' as never }, 'headers'],
    [{ onError: 'admit' as never }, 'onError'],
    [{ onRefused: 'no' as never }, 'onRefused'],
    [{ limiter: undefined as never }, 'limiter'],
    [{ skip: true as never }, 'skip'],
    [{ limit: 5 } as never, 'limit is not an option'],
  ])('refuses %j at construction', (extra, field) => {
    expect(() => appWith(extra)).toThrow(field);
  });
});
