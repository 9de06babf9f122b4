import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { createLimiter } from '../limiter.ts';
import { definePolicy } from '../policy/policy.ts';
import { memoryStore } from '../store/memory/memory-store.ts';
import { rateLimit } from './index.ts';

function appWith(extra: Partial<Parameters<typeof rateLimit>[0]> = {}): Hono {
  const limiter = createLimiter({
    store: memoryStore(),
    policies: [definePolicy({ name: 'two', limit: 2, windowMs: 60_000, blockMs: 30_000 })],
  });
  const app = new Hono();
  app.use('/limited', rateLimit({ limiter, policy: 'two', ...extra }));
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
    expect(response.headers.get('Retry-After')).toBe('30');
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      status: 429,
      'violated-policies': ['two'],
      retryAfter: 30,
      error: 'Rate limit exceeded',
    });
  });

  it('answers 400, naming the header, when nobody says who is asking', async () => {
    const response = await appWith().request('/limited');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ field: 'X-API-Key' }] });
  });

  it('answers 400 to a subject that can not be used', async () => {
    const app = appWith({ identify: () => 'x'.repeat(2_000) });
    const response = await app.request('/limited');
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ field: 'subject' }] });
  });

  it('leaves other routes alone', async () => {
    const response = await appWith().request('/free');
    expect([response.status, response.headers.get('RateLimit')]).toEqual([200, null]);
  });

  it.each([
    [{ policy: 'tow' }, 'policy'],
    [{ cost: 3 }, 'cost'],
    [{ action: '' }, 'action'],
  ])('refuses %j at construction', (extra, field) => {
    expect(() => appWith(extra)).toThrow(field);
  });
});
