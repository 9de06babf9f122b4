import { createBreakers, memoryStore as breakerStore } from '@spillway/breaker';
import { createLimiter, definePolicy, memoryStore } from '@spillway/limiter';
import { describe, expect, it } from 'vitest';
import { useApi } from '../../test/use-api.ts';

const HOT = { size: 5, ttlMs: 1_000 };
const api = useApi(() => ({
  breakers: createBreakers({ store: breakerStore() }),
  limiter: createLimiter({
    store: memoryStore(),
    live: true,
    policies: [
      definePolicy({ name: 'ten', limit: 10, windowMs: 60_000 }),
      definePolicy({
        name: 'log',
        limit: 20,
        windowMs: 60_000,
        blockMs: 1_000,
        mode: 'shadow',
        onUnavailable: 'local',
      }),
      definePolicy({ name: 'buckets', limit: 5_000, windowMs: 60_000 }),
      definePolicy({ name: 'fixed', algorithm: 'fixed-window', limit: 20, windowMs: 60_000, nearLimit: 0.5 }),
      definePolicy({ name: 'bucket', algorithm: 'token-bucket', limit: 20, windowMs: 60_000, burst: 5 }),
      definePolicy({ name: 'slots', algorithm: 'concurrency', limit: 20, windowMs: 60_000 }),
      definePolicy({ name: 'plan', algorithm: 'quota', limit: 20, period: 'day', timeZone: 'Europe/Berlin' }),
      definePolicy({ name: 'hot', limit: 20, windowMs: 60_000, lease: HOT }),
    ],
  }),
}));

async function get(path: string): Promise<Record<string, unknown>> {
  const response = await api.ask('GET', path, { as: 'read' });
  expect([path, response.status]).toEqual([path, 200]);
  return (await response.json()) as Record<string, unknown>;
}
async function put(path: string, body: object): Promise<unknown> {
  const response = await api.ask('PUT', path, { body });
  expect([path, response.status]).toEqual([path, 200]);
  return response.json();
}
async function statusOf(method: string, path: string, body?: object): Promise<number> {
  return (await api.ask(method, path, body === undefined ? {} : { body })).status;
}
async function fieldsOf(method: string, path: string, body: object): Promise<unknown> {
  const response = await api.ask(method, path, { body });
  expect(response.status).toBe(400);
  return ((await response.json()) as { errors: { field: string }[] }).errors.map(({ field }) => field);
}

describe('what was read can be changed and sent back', () => {
  it.each(['ten', 'log', 'buckets', 'fixed', 'bucket', 'slots', 'plan', 'hot'])('policy %s', async (name) => {
    const path = `/v1/policies/${name}`;
    const read = await get(path);
    const put15 = await put(path, { ...read, limit: 15 });
    expect(put15).toMatchObject({ ...read, limit: 15, source: 'live', otherLimiters: 0 });
    const live = await get(path);
    expect(await put(path, live)).toMatchObject(live);
    expect(await put(path, Object(put15))).toMatchObject(live);
    expect(await get(path)).toEqual(live);
  });

  it('a quota of a day becomes one of a month', async () => {
    await put('/v1/policies/plan', { ...(await get('/v1/policies/plan')), period: 'month' });
    expect(await get('/v1/policies/plan')).toMatchObject({ period: 'month', source: 'live' });
  });

  it('an override, a list entry and a breaker', async () => {
    const override = '/v1/policies/ten/override';
    const vip = `${override}?subject=vip`;
    await put(override, Object(await put(override, { subject: 'vip', limit: 20, mode: 'shadow' })));
    await put(override, { ...(await get(vip)), limit: 30 });
    expect(await get(vip)).toEqual({ policy: 'ten', subject: 'vip', limit: 30, mode: 'shadow' });

    const entry = '/v1/lists/entry?entry=mallory';
    expect(await statusOf('GET', entry)).toBe(404);
    expect(await statusOf('PUT', '/v1/lists/entry', { entry: 'mallory', verdict: 'deny' })).toBe(200);
    expect(await statusOf('PUT', '/v1/lists/entry', { ...(await get(entry)), verdict: 'allow' })).toBe(200);
    expect(await get(entry)).toEqual({ entry: 'mallory', verdict: 'allow' });

    const breaker = '/v1/breakers/runware?preset=ai_provider';
    await put(breaker, { mode: 'forced_open', why: 'their status page' });
    const forced = { ...(await get(breaker)), mode: 'isolated', who: 'somebody else' };
    expect(await put('/v1/breakers/runware', forced)).toMatchObject({
      fleetState: 'forced_open',
      who: 'api-key:admin',
    });
    await put(breaker, { ...(await get(breaker)), mode: 'auto' });
    expect(await get(breaker)).toMatchObject({ fleetState: 'closed' });
  });

  it('but not to another place', async () => {
    expect(await fieldsOf('PUT', '/v1/policies/ten', await get('/v1/policies/log'))).toEqual(['name']);
    const other = { policy: 'log', subject: 'b', limit: 5 };
    expect(await fieldsOf('PUT', '/v1/policies/ten/override', other)).toEqual(['policy']);
    const breaker = { name: 'b', mode: 'auto' };
    expect(await fieldsOf('PUT', '/v1/breakers/a?preset=ai_provider', breaker)).toEqual(['name']);
  });
});

describe('a lease', () => {
  it('can be set, stays while it is not spoken of, and is taken away by null', async () => {
    const rules = { limit: 50, windowMs: 60_000 };
    expect(await put('/v1/policies/hot', rules)).toMatchObject({ lease: HOT });
    expect(await put('/v1/policies/hot', { ...rules, limit: 60 })).toMatchObject({ lease: HOT });
    expect(await put('/v1/policies/hot', { ...rules, lease: { size: 9, ttlMs: 2_000 } })).toMatchObject({
      lease: { size: 9 },
    });
    expect(await put('/v1/policies/hot', { ...rules, lease: null })).not.toHaveProperty('lease');
    expect(await put('/v1/policies/hot', rules)).not.toHaveProperty('lease');
  });

  it('that does not fit is refused by name', async () => {
    const rules = { limit: 50, windowMs: 60_000 };
    expect(await fieldsOf('PUT', '/v1/policies/new', { ...rules, lease: { size: 51, ttlMs: 100 } })).toEqual([
      'lease.size',
    ]);
    expect(await fieldsOf('PUT', '/v1/policies/new', { ...rules, lease: { size: 5 } })).toEqual(['lease.ttlMs']);
    // Kept from the code's policy, and a fixed window can't have one.
    const fixed = { ...rules, algorithm: 'fixed-window' };
    expect(await fieldsOf('PUT', '/v1/policies/hot', fixed)).toEqual(['lease']);
  });
});

const consume = async (subject: string): Promise<unknown> =>
  (await api.ask('POST', '/v1/limits/ten/consume', { body: { subject }, as: 'decide' })).json();

describe('a name with slashes', () => {
  const NETWORK = '10.0.0.0/8';
  const SUBJECT = 'ip:2001:db8::/56';

  it.each([
    ['encoded', encodeURIComponent],
    ['as a proxy decodes it', String],
  ])('in a path, %s', async (_, encode) => {
    const breaker = `/v1/breakers/${encode('api.example.com/v1')}?preset=ai_provider`;
    expect(await put(breaker, { mode: 'isolated' })).toMatchObject({ name: 'api.example.com/v1' });
    expect(await get(`/v1/metrics/${encode('jobs/done')}/stats`)).toMatchObject({ count: 0 });
  });

  it.each([
    ['encoded', encodeURIComponent],
    ['as it is', String],
  ])('in the body and, %s, in the query', async (_, encode) => {
    const entry = `/v1/lists/entry?entry=${encode(NETWORK)}`;
    expect(await statusOf('PUT', '/v1/lists/entry', { entry: NETWORK, verdict: 'deny' })).toBe(200);
    expect(await get(entry)).toEqual({ entry: NETWORK, verdict: 'deny' });
    expect(await consume('ip:10.1.2.3')).toMatchObject({ reason: 'deny_listed' });
    expect(await statusOf('DELETE', entry)).toBe(200);
    expect(await statusOf('DELETE', entry)).toBe(404);

    const override = '/v1/policies/ten/override';
    const one = `${override}?subject=${encode(SUBJECT)}`;
    expect(await put(override, { subject: SUBJECT, limit: 5 })).toMatchObject({ policy: 'ten', subject: SUBJECT });
    expect(await consume(SUBJECT)).toMatchObject({ limit: 5 });
    expect(await get(one)).toMatchObject({ subject: SUBJECT, limit: 5 });
    expect(await statusOf('DELETE', one)).toBe(200);
    expect(await consume(SUBJECT)).toMatchObject({ limit: 10 });
  });

  it('is named when it is missing, and a subject or a network is nowhere read from a path', async () => {
    expect(await fieldsOf('PUT', '/v1/policies/ten/override', { limit: 5 })).toEqual(['subject']);
    expect(await fieldsOf('PUT', '/v1/lists/entry', { verdict: 'deny' })).toEqual(['entry']);
    expect(await statusOf('GET', '/v1/lists/entry')).toBe(400);
    expect(await statusOf('GET', '/v1/policies/ten/override')).toBe(400);
    for (const path of ['/v1/lists/mallory', '/v1/policies/ten/overrides/vip']) {
      expect([path, await statusOf('GET', path)]).toEqual([path, 404]);
    }
    const document = JSON.parse(await (await api.app.request('/openapi.json')).text());
    const named =
      Object.keys(document.paths)
        .join(' ')
        .match(/\{\w+\}/g) ?? [];
    expect([...new Set(named)].toSorted()).toEqual(['{id}', '{name}', '{policy}']);
  });
});

/** For each path that has GET and PUT: where it is got and put, and what makes it exist. */
const editable: Readonly<Record<string, { readonly at: string; readonly put: string; readonly first: object }>> = {
  '/v1/policies/{policy}': {
    at: '/v1/policies/exports',
    put: '/v1/policies/exports',
    first: { limit: 5, windowMs: 1_000, nearLimit: 0.5, lease: { size: 2, ttlMs: 100 } },
  },
  '/v1/policies/{policy}/override': {
    at: '/v1/policies/ten/override?subject=org-7:*',
    put: '/v1/policies/ten/override',
    first: { subject: 'org-7:*', limit: 5, mode: 'shadow' },
  },
  '/v1/lists/entry': {
    at: '/v1/lists/entry?entry=10.1.2.3/8',
    put: '/v1/lists/entry',
    first: { entry: '10.1.2.3/8', verdict: 'deny' },
  },
  '/v1/plans/{name}': { at: '/v1/plans/pro', put: '/v1/plans/pro', first: { policies: ['ten', 'log'] } },
  '/v1/presets/{name}': {
    at: '/v1/presets/search',
    put: '/v1/presets/search',
    first: { trip: { strategy: 'consecutive', failures: 3 }, openMs: 1_000, timeoutMs: false },
  },
  '/v1/breakers/{name}': {
    at: '/v1/breakers/runware?preset=ai_provider',
    put: '/v1/breakers/runware',
    first: { preset: 'ai_provider', mode: 'isolated' },
  },
};

it('whatever the document says can be got and put can be got and put back', async () => {
  const document = JSON.parse(await (await api.app.request('/openapi.json')).text());
  const paths = Object.entries<object>(document.paths).filter(([, methods]) => 'get' in methods && 'put' in methods);
  expect(Object.keys(editable).toSorted()).toEqual(paths.map(([path]) => path).toSorted());
  for (const [path, { at, put: target, first }] of Object.entries(editable)) {
    await put(target, first);
    const read = await get(at);
    // A breaker is told what to do: its mode is no part of its state.
    const command = path === '/v1/breakers/{name}' ? { mode: 'isolated' } : {};
    await put(target, { ...read, ...command });
    const { epoch: _epoch, sinceMs: _since, ...state } = read;
    expect([path, await get(at)]).toEqual([path, expect.objectContaining(state)]);
  }
});
