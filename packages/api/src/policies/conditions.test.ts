import { createBreakers, memoryStore } from '@spillway/breaker';
import { createLimiter, definePolicy } from '@spillway/limiter';
import { useRedis } from '@spillway/local-servers/testing';
import { describe, expect, it } from 'vitest';
import { bearer, useApi } from '../../test/use-api.ts';

const redis = useRedis();
const api = useApi((_, { onClose }) => {
  const policies = [definePolicy({ name: 'ten', limit: 10, windowMs: 60_000 })];
  const limiter = createLimiter({ redis: redis.client, policies, live: { deadlineMs: 10_000 } });
  onClose(() => limiter.close());
  return { limiter, breakers: createBreakers({ store: memoryStore() }) };
});

interface Asked {
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

async function ask(method: string, path: string, { body, headers = {} }: Asked = {}): Promise<Response> {
  const type = body === undefined ? {} : { 'Content-Type': 'application/json' };
  const init = { method, headers: { ...bearer('admin'), ...type, ...headers } };
  return api.app.request(path, body === undefined ? init : { ...init, body: JSON.stringify(body) });
}
const statusOf = async (...asked: Parameters<typeof ask>): Promise<number> => (await ask(...asked)).status;
async function tagOf(path: string): Promise<string> {
  const response = await ask('GET', path);
  expect([path, response.status]).toEqual([path, 200]);
  return response.headers.get('ETag') ?? '';
}

/** Each resource that can be got and put: where it is, where it is put, and bodies of three different states of it. */
const resources = [
  {
    name: 'a policy',
    at: '/v1/policies/exports',
    put: '/v1/policies/exports',
    body: (state: number) => ({ limit: 100 + state, windowMs: 60_000 }),
  },
  {
    name: 'an override',
    at: '/v1/policies/ten/override?subject=org-7:*',
    put: '/v1/policies/ten/override',
    body: (state: number) => ({ mode: 'shadow', subject: 'org-7:*', limit: 100 + state }),
  },
  {
    name: 'a list entry',
    at: '/v1/lists/entry?entry=10.1.2.3/8',
    put: '/v1/lists/entry',
    body: (state: number) => ({ entry: '10.0.0.0/8', verdict: state % 2 === 0 ? 'deny' : 'allow' }),
  },
  {
    name: 'a plan',
    at: '/v1/plans/pro',
    put: '/v1/plans/pro',
    body: (state: number) => ({ policies: ['ten', `log-${state}`] }),
  },
  {
    name: 'a preset',
    at: '/v1/presets/search',
    put: '/v1/presets/search',
    body: (state: number) => ({ trip: { strategy: 'consecutive', failures: 3 }, openMs: 1_000 + state }),
  },
] as const;

/** A removal is answered with whom it reaches, or with nothing. */
const removed: unknown = expect.toBeOneOf([200, 204]);

describe.each(resources)('$name', ({ at, put, body }) => {
  it('has a strong tag, the one that PUT told, and answers 304 to who has it', async () => {
    const set = await ask('PUT', put, { body: body(0) });
    const tag = await tagOf(at);
    expect(tag).toMatch(/^"[\w-]{27}"$/u);
    expect(set.headers.get('ETag')).toBe(tag);
    for (const known of [tag, `W/${tag}`, `"other", ${tag}`, '*']) {
      const response = await ask('GET', at, { headers: { 'If-None-Match': known } });
      expect([known, response.status, await response.text()]).toEqual([known, 304, '']);
      expect(response.headers.get('ETag')).toBe(tag);
      expect(response.headers.get('Cache-Control')).toBe('private, no-cache');
    }
    expect(await statusOf('GET', at, { headers: { 'If-None-Match': '"other"' } })).toBe(200);
    await ask('PUT', put, { body: body(1) });
    expect(await statusOf('GET', at, { headers: { 'If-None-Match': tag } })).toBe(200);
    await ask('PUT', put, { body: body(0) });
    expect(await tagOf(at)).toBe(tag);
  });

  it('is changed by who has its tag, and not by who read it before the last change', async () => {
    await ask('PUT', put, { body: body(0) });
    const old = await tagOf(at);
    expect(await statusOf('PUT', put, { body: body(1), headers: { 'If-Match': old } })).toBe(200);
    const stale = await ask('PUT', put, { body: body(2), headers: { 'If-Match': old } });
    expect(stale.status).toBe(412);
    expect(await stale.json()).toMatchObject({ type: 'urn:spillway:problem:precondition-failed' });
    const now = await tagOf(at);
    expect(await statusOf('DELETE', at, { headers: { 'If-Match': old } })).toBe(412);
    expect(await statusOf('DELETE', at, { headers: { 'If-Match': `W/${now}` } })).toBe(412);
    expect(await tagOf(at)).toBe(now);
    expect(await statusOf('DELETE', at, { headers: { 'If-Match': `"x", ${now}` } })).toEqual(removed);
    expect(await statusOf('GET', at)).toBe(404);
  });

  it('is only created with If-None-Match: *, only changed with If-Match: *, and without both the last writer wins', async () => {
    const create = { body: body(0), headers: { 'If-None-Match': '*' } };
    expect(await statusOf('PUT', put, { body: body(0), headers: { 'If-Match': '*' } })).toBe(412);
    expect(await statusOf('GET', at)).toBe(404);
    expect(await statusOf('PUT', put, create)).toBe(200);
    expect(await statusOf('PUT', put, create)).toBe(412);
    expect(await statusOf('PUT', put, { body: body(1), headers: { 'If-Match': '*' } })).toBe(200);
    expect(await statusOf('PUT', put, { body: body(2) })).toBe(200);
    expect(await statusOf('DELETE', at)).toEqual(removed);
  });

  it('is changed by exactly one of twenty who read the same and write at once', async () => {
    await ask('PUT', put, { body: body(0) });
    const tag = await tagOf(at);
    const write = (_: unknown, index: number): Promise<number> =>
      statusOf('PUT', put, { body: body(2 * index + 1), headers: { 'If-Match': tag } });
    const statuses = await Promise.all(Array.from({ length: 20 }, write));
    expect(statuses.toSorted((one, other) => one - other)).toEqual([200, ...Array.from({ length: 19 }, () => 412)]);
    await ask('DELETE', at);
    const create = (_: unknown, index: number): Promise<number> =>
      statusOf('PUT', put, { body: body(index), headers: { 'If-None-Match': '*' } });
    const created = await Promise.all(Array.from({ length: 20 }, create));
    expect(created.filter((status) => status === 200)).toHaveLength(1);
  });

  it.each(['', 'x', '"a', 'W/x', '"a" "b"', '*, "a"'])('is not touched by an If-Match of %j', async (header) => {
    const response = await ask('PUT', put, { body: body(0), headers: { 'If-Match': header } });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ errors: [{ field: 'If-Match' }] });
    expect(await statusOf('GET', at)).toBe(404);
  });
});

it('a policy in code has a tag too: it is replaced by who has it, and created by nobody', async () => {
  const path = '/v1/policies/ten';
  const body = { limit: 11, windowMs: 60_000 };
  const code = await tagOf(path);
  expect(await statusOf('PUT', path, { body, headers: { 'If-None-Match': '*' } })).toBe(412);
  expect(await statusOf('PUT', path, { body, headers: { 'If-Match': code } })).toBe(200);
  expect(await statusOf('PUT', path, { body, headers: { 'If-Match': code } })).toBe(412);
  expect(await statusOf('DELETE', path, { headers: { 'If-Match': await tagOf(path) } })).toBe(200);
  expect(await tagOf(path)).toBe(code);
});

it.each([
  ['/v1/policies', 'PUT', '/v1/policies/exports', { limit: 5, windowMs: 1_000 }],
  ['/v1/policies/ten/overrides', 'PUT', '/v1/policies/ten/override', { subject: 'vip', limit: 50 }],
  ['/v1/lists', 'PUT', '/v1/lists/entry', { entry: 'mallory', verdict: 'deny' }],
  ['/v1/lists?verdict=allow', 'PUT', '/v1/lists/entry', { entry: 'friend', verdict: 'allow' }],
  ['/v1/plans', 'PUT', '/v1/plans/pro', { policies: ['ten'] }],
  ['/v1/presets', 'PUT', '/v1/presets/search', { trip: { strategy: 'consecutive', failures: 3 }, openMs: 1_000 }],
  ['/v1/subjects/blocked', 'POST', '/v1/subjects/block', { subject: 'mallory', durationMs: 3_600_000 }],
])('a page of %s has a tag as well, which changes with what is on it', async (path, method, change, body) => {
  const before = await tagOf(path);
  const known = { headers: { 'If-None-Match': before } };
  expect(await statusOf('GET', path, known)).toBe(304);
  expect(await statusOf(method, change, { body })).toBe(200);
  expect(await statusOf('GET', path, known)).toBe(200);
});

it.each([
  ['PUT', '/v1/breakers/runware?preset=ai_provider', { mode: 'auto' }],
  ['DELETE', '/v1/keys/6f1b0a52-7c0e-4f3a-9d2b-0123456789ab', undefined],
])('%s %s says that it heeds no condition instead of ignoring it', async (method, path, body) => {
  const asked = { ...(body && { body }), headers: { 'If-Match': '"a"' } };
  const response = await ask(method, path, asked);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ errors: [{ field: 'If-Match' }] });
});
