import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { CircuitOpenError } from '../errors.ts';
import { handleCircuitOpen, circuitOpenHandler } from './index.ts';

function appThatThrows(error: Error): Hono {
  const app = new Hono();
  app.onError((_error, context) => context.text('other', 500, { 'X-Other': 'yes' }));
  app.get('/guarded', handleCircuitOpen(), () => {
    throw error;
  });
  app.get('/fine', handleCircuitOpen(), (context) => context.text('fine'));
  return app;
}

const refusal = (retryAfterMs: number): CircuitOpenError =>
  new CircuitOpenError({ breaker: 'runware', preset: 'ai_provider', state: 'open', retryAfterMs });

const problem = {
  type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
  status: 503,
  title: 'A service that this request needs is not available right now',
  detail: 'runware is cut off. Try again in 2 s.',
  error: 'Service unavailable',
  breaker: 'runware',
  preset: 'ai_provider',
  state: 'open',
  retryAfter: 2,
};

describe('handleCircuitOpen', () => {
  it('answers a refusal with 503, Retry-After in whole seconds and a problem document', async () => {
    const response = await appThatThrows(refusal(1_001)).request('/guarded');
    expect(response.status).toBe(503);
    expect(response.headers.get('Retry-After')).toBe('2');
    expect(response.headers.get('Content-Type')).toBe('application/problem+json');
    expect(response.headers.get('X-Other')).toBeNull();
    expect(await response.json()).toEqual(problem);
  });

  it('finds a refusal that was wrapped', async () => {
    const wrapped = new Error('generation failed', { cause: new Error('client', { cause: refusal(1) }) });
    expect((await appThatThrows(wrapped).request('/guarded')).status).toBe(503);
  });

  it('names no time when none is set', async () => {
    const response = await appThatThrows(refusal(Number.POSITIVE_INFINITY)).request('/guarded');
    expect(response.headers.get('Retry-After')).toBeNull();
    expect(await response.json()).toMatchObject({ retryAfter: null, detail: 'runware is cut off. No end is set.' });
  });

  it('leaves other errors and good answers alone', async () => {
    const app = appThatThrows(new Error('other'));
    expect((await app.request('/guarded')).status).toBe(500);
    expect(await (await app.request('/fine')).text()).toBe('fine');
  });
});

describe('circuitOpenHandler', () => {
  it('answers refusals, and leaves the rest to the other handler', async () => {
    const app = new Hono();
    app.onError(circuitOpenHandler((error, context) => context.text(error.message, 500)));
    app.get('/:kind', (context) => {
      throw context.req.param('kind') === 'refused' ? refusal(2_000) : new Error('mine');
    });
    const refused = await app.request('/refused');
    expect([refused.status, await refused.json()]).toEqual([503, problem]);
    const other = await app.request('/other');
    expect([other.status, await other.text()]).toEqual([500, 'mine']);
  });
});
