import { EventEmitter, once } from 'node:events';
import { createLimiter, definePolicy, type Limiter, tiers, memoryStore } from '@spillway/limiter';
import { beforeEach, describe, expect, it } from 'vitest';
import { createApp, type MountedHandler } from './app.ts';
import type { Checks } from './health.ts';
import type { ApiApp } from './openapi/api-app.ts';
import { bearer, fixedKeys, type MemoryLog, memoryLog } from '../test/use-api.ts';

const up = async (): Promise<void> => undefined;

let limiter: Limiter;
let log: MemoryLog;
beforeEach(() => {
  const ten = definePolicy({ name: 'ten', limit: 10, windowMs: 60_000 });
  limiter = createLimiter({ store: memoryStore(), policies: [...tiers, ten] });
  log = memoryLog();
});

const app = (extra: { checks?: Checks; mount?: readonly MountedHandler[]; readyTimeoutMs?: number } = {}): ApiApp =>
  createApp({ limiter, authenticator: fixedKeys, checks: { redis: up, postgres: up }, logger: log.logger, ...extra });

const headers = { ...bearer('admin'), 'Content-Type': 'application/json' };
const json = (body: unknown): RequestInit => ({
  method: 'POST',
  headers,
  body: JSON.stringify(body),
});

interface ProblemBody {
  readonly status: number;
  readonly title: string;
  readonly errors?: { readonly field: string; readonly detail: string }[];
}

/** Asserts that this is a problem document with this status. */
async function problem(response: Response, status: number): Promise<ProblemBody> {
  expect(response.status).toBe(status);
  expect(response.headers.get('Content-Type')).toBe('application/problem+json');
  const body = (await response.json()) as ProblemBody;
  expect(body.status).toBe(status);
  expect(body.title).not.toBe('');
  return body;
}

const fieldsOf = ({ errors = [] }: ProblemBody): string[] => errors.map(({ field }) => field);

describe('POST /v1/limits/:policy/consume', () => {
  it('answers 200 with the decision, whichever way it falls', async () => {
    const subject = { subject: 'user:1' };
    const first = await app().request('/v1/limits/ten/consume', json({ ...subject, cost: 6 }));
    expect(first.status).toBe(200);
    expect(await first.json()).toMatchObject({
      allowed: true,
      policy: 'ten',
      limit: 10,
      remaining: 4,
      reason: 'allowed',
    });

    const second = await app().request('/v1/limits/ten/consume', json({ ...subject, cost: 6 }));
    expect(second.status).toBe(200);
    expect(await second.json()).toMatchObject({ allowed: false, remaining: 4, reason: 'limited' });

    const third = await app().request('/v1/limits/ten/consume', json({ ...subject, cost: 4 }));
    expect(await third.json()).toMatchObject({ allowed: true, remaining: 0 });
  });

  it('keeps actions apart', async () => {
    await app().request('/v1/limits/ten/consume', json({ subject: 'user:1', action: 'write', cost: 10 }));
    const other = await app().request('/v1/limits/ten/consume', json({ subject: 'user:1', action: 'read', cost: 10 }));
    expect(await other.json()).toMatchObject({ allowed: true });
  });

  it('says null for a block that never ends', async () => {
    await limiter.block('ten', 'user:1');
    const response = await app().request('/v1/limits/ten/consume', json({ subject: 'user:1' }));
    expect(await response.json()).toMatchObject({
      allowed: false,
      blockedUntilMs: null,
      retryAfterMs: null,
      resetAtMs: null,
    });
  });

  it('answers 404 for an unknown policy and names those there are', async () => {
    const body = await problem(await app().request('/v1/limits/tenn/consume', json({ subject: 'user:1' })), 404);
    expect(body.errors?.[0]).toEqual({
      field: 'policy',
      detail: expect.stringContaining('strict, standard') as string,
    });
    await problem(await app().request('/v1/limits/%E0%A4%A/consume', json({ subject: 'user:1' })), 404);
    await problem(await app().request('/v1/limits/__proto__/consume', json({ subject: 'user:1' })), 404);
  });

  it.each([
    [{}, ['subject']],
    [{ subject: 5 }, ['subject']],
    [{ subject: null }, ['subject']],
    [{ subject: '' }, ['subject']],
    [{ subject: 'x'.repeat(1_025) }, ['subject']],
    [{ subject: '\ud800' }, ['subject']],
    [{ subject: 'a', action: '' }, ['action']],
    [{ subject: 'a', action: 7 }, ['action']],
    [{ subject: 'a', cost: 0 }, ['cost']],
    [{ subject: 'a', cost: -1 }, ['cost']],
    [{ subject: 'a', cost: 1.5 }, ['cost']],
    [{ subject: 'a', cost: 11 }, ['cost']],
    [{ subject: 'a', cost: '1' }, ['cost']],
    [{ subject: 'a', cost: null }, ['cost']],
    [{ subject: 'a', costs: 5 }, ['costs']],
    [{ action: 1, cost: 'x' }, ['subject', 'action', 'cost']],
    [[], ['body']],
    ['text', ['body']],
    [null, ['body']],
    [5, ['body']],
  ])('answers 400 to %j and names %j', async (body, fields) => {
    const response = await app().request('/v1/limits/ten/consume', json(body));
    expect(fieldsOf(await problem(response, 400))).toEqual(fields);
  });

  it.each([
    ['a body cut short', 'application/json', '{"subject":', 400, 'body'],
    ['a number that JSON does not have', 'application/json', '{"subject":"a","cost":NaN}', 400, 'body'],
    ['an infinite cost', 'application/json', '{"subject":"a","cost":1e999}', 400, 'cost'],
    ['an empty body', 'application/json', '', 400, 'body'],
    ['text', 'text/plain', '{"subject":"a"}', 415, 'Content-Type'],
    ['a type that only begins like JSON', 'application/jsonp', '{"subject":"a"}', 415, 'Content-Type'],
  ])('refuses %s', async (_, type, body, status, field) => {
    const request = { method: 'POST', headers: { ...headers, 'Content-Type': type }, body };
    const response = await app().request('/v1/limits/ten/consume', request);
    expect(fieldsOf(await problem(response, status))).toEqual([field]);
  });

  it('names Content-Type when it is missing', async () => {
    const body = new TextEncoder().encode('{"subject":"a"}');
    const response = await app().request('/v1/limits/ten/consume', { method: 'POST', headers: bearer('decide'), body });
    expect(fieldsOf(await problem(response, 400))).toEqual(['Content-Type']);
  });

  it('takes JSON types with parameters and suffixes', async () => {
    for (const type of ['application/json; charset=utf-8', 'Application/JSON', 'application/vnd.spillway+json']) {
      const request = { method: 'POST', headers: { ...headers, 'Content-Type': type }, body: '{"subject":"a"}' };
      expect((await app().request('/v1/limits/ten/consume', request)).status).toBe(200);
    }
  });

  it('refuses bytes that are no UTF-8 instead of taking two subjects for one', async () => {
    const body = Uint8Array.from([...Buffer.from('{"subject":"'), 0xff, ...Buffer.from('"}')]);
    const request = { method: 'POST', headers, body };
    const response = await app().request('/v1/limits/ten/consume', request);
    expect((await problem(response, 400)).errors).toEqual([{ field: 'body', detail: 'is not valid UTF-8' }]);
  });

  it('answers 413 to a body above 256 KB', async () => {
    const response = await app().request('/v1/limits/ten/consume', json({ subject: 'x'.repeat(256 * 1024) }));
    expect(fieldsOf(await problem(response, 413))).toEqual(['body']);
  });

  it('answers 503 to what changes something once the limiter is closed', async () => {
    await limiter.close();
    const block = { ...json({ subject: 'a' }), headers: { ...headers, ...bearer('admin') } };
    const response = await app().request('/v1/limits/ten/block', block);
    expect(await problem(response, 503)).toMatchObject({ title: 'The service is stopping' });
  });
});

describe('/healthz and /readyz', () => {
  it('is alive whatever its dependencies do', async () => {
    const checks = { redis: () => Promise.reject(new Error('gone')), postgres: up };
    const response = await app({ checks }).request('/healthz');
    expect([response.status, await response.json()]).toEqual([200, { status: 'alive' }]);
  });

  it('is ready when both answer', async () => {
    const response = await app().request('/readyz');
    expect([response.status, await response.json()]).toEqual([
      200,
      { status: 'ready', checks: { redis: 'up', postgres: 'up' } },
    ]);
  });

  it('names what is down, and logs why without telling the client', async () => {
    const checks = { redis: up, postgres: () => Promise.reject(new Error('role "root" does not exist')) };
    const response = await app({ checks }).request('/readyz');
    const body = await problem(response, 503);
    expect(body).toMatchObject({ checks: { redis: 'up', postgres: 'down' } });
    expect(body.errors).toEqual([{ field: 'postgres', detail: 'is not reachable' }]);
    expect(log.text()).toContain('role \\"root\\"');
  });

  it('asks each dependency once for all who ask at the same time', async () => {
    let asked = 0;
    const events = new EventEmitter();
    const checks = {
      redis: up,
      postgres: async () => {
        asked += 1;
        if (asked === 1) await once(events, 'answer');
      },
    };
    const open = app({ checks });
    const answers = Array.from({ length: 50 }, async () => open.request('/readyz'));
    events.emit('answer');
    for (const answer of await Promise.all(answers)) expect(answer.status).toBe(200);
    expect(asked).toBe(1);
    await open.request('/readyz');
    expect(asked).toBe(2);
  });

  it('answers in time when a dependency hangs', async () => {
    const checks = { redis: () => new Promise<void>(() => undefined), postgres: up };
    const body = await problem(await app({ checks, readyTimeoutMs: 20 }).request('/readyz'), 503);
    expect(body.errors).toEqual([{ field: 'redis', detail: 'gave no answer within 20 ms' }]);
  });
});

describe('the rest', () => {
  it.each(['/', '/v1', '/v1/limits', '/v1/limits/ten', '/healthz/', '/v1/limits/ten/consume/x'])(
    'answers 404 to %s',
    async (path) => {
      expect(await problem(await app().request(path), 404)).toMatchObject({ title: 'Not found' });
    },
  );

  it.each([
    ['GET', '/v1/limits/ten/consume', 'POST'],
    ['DELETE', '/readyz', 'GET, HEAD'],
    ['POST', '/healthz', 'GET, HEAD'],
  ])('answers 405 to %s %s and says what is allowed', async (method, path, allow) => {
    const response = await app().request(path, { method });
    await problem(response, 405);
    expect(response.headers.get('Allow')).toBe(allow);
  });

  it('gives every answer a request id and the security headers', async () => {
    for (const path of ['/healthz', '/nowhere', '/v1/limits/ten/consume']) {
      const response = await app().request(path, { headers: { 'X-Request-Id': 'abc-123' } });
      expect(response.headers.get('X-Request-Id')).toBe('abc-123');
      expect(response.headers.get('X-Content-Type-Options')).toBe('nosniff');
    }
    const forged = await app().request('/healthz', { headers: { 'X-Request-Id': 'a b "c"' } });
    expect(forged.headers.get('X-Request-Id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('serves mounted handlers, also those that pass on a response of fetch', async () => {
    const frozen = Response.redirect('http://elsewhere.test/', 307);
    const handle = async (request: Request): Promise<Response> =>
      request.url.endsWith('x') ? frozen : Response.json({ method: request.method });
    const mount = [{ method: 'POST', path: '/functions/v1/:name', handle }] as const;
    const response = await app({ mount }).request('/functions/v1/a', { method: 'POST' });
    expect([response.status, await response.json()]).toEqual([200, { method: 'POST' }]);
    expect(response.headers.get('X-Request-Id')).not.toBeNull();
    expect((await app({ mount }).request('/functions/v1/x', { method: 'POST' })).status).toBe(307);
    await problem(await app({ mount }).request('/functions/v1/a'), 405);
  });

  it('answers 500 without a word about the inside when a handler throws', async () => {
    const mount = [{ method: 'GET', path: '/broken', handle: () => Promise.reject(new Error('the inside')) }] as const;
    expect(JSON.stringify(await problem(await app({ mount }).request('/broken'), 500))).not.toContain('inside');
    expect(log.text()).toContain('the inside');
  });

  it('logs one line for each request: its route, never its path, headers or query', async () => {
    const secret = 'sw_secret';
    const principal = { id: 'k1', kind: 'api-key', scopes: ['admin'] } as const;
    const keyed = createApp({
      limiter,
      authenticator: { verify: () => ({ kind: 'known', principal }) },
      checks: { redis: up, postgres: up },
      logger: log.logger,
    });
    const secrets = { 'X-API-Key': secret, Authorization: `Bearer ${secret}`, 'Content-Type': 'application/json' };
    const request = { method: 'POST', headers: secrets, body: `{"subject":"${secret}"}` };
    await keyed.request('/v1/limits/ten/consume', request);
    await keyed.request(`/v1/limits/ten/consume?key=${secret}`, request);
    await keyed.request(`/v1/keys/${secret}`, request);
    await keyed.request('/v1/limits/ten/consume', { ...request, body: `{"${secret}":1}` });
    await keyed.request(`/v1/limits/${secret}/consume`, request);
    expect(log.lines()).toMatchObject([
      { method: 'POST', route: '/v1/limits/:policy/consume', status: 200, requestId: expect.any(String) as string },
      { method: 'POST', route: '/v1/limits/:policy/consume', status: 400 },
      { method: 'POST', status: 404 },
      { method: 'POST', status: 400, principal: 'k1' },
      { method: 'POST', status: 404, principal: 'k1' },
    ]);
    expect(log.text()).not.toContain(secret);
  });

  it('logs no secret header even when somebody tries, and no arguments of failed commands', () => {
    const secrets = { authorization: 'sk-secret', 'x-api-key': 'sk-secret' };
    const failure = Object.assign(new Error('ERR'), { command: { name: 'auth', args: ['sk-secret'] } });
    log.logger.info({ ...secrets, headers: secrets, request: { headers: secrets }, err: failure }, 'careless');
    expect(log.lines()).toHaveLength(1);
    expect(log.text()).not.toContain('sk-secret');
  });
});
