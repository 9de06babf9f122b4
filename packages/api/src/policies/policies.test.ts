import { createLimiter, definePolicy, memoryStore } from '@spillway/limiter';
import { describe, expect, it } from 'vitest';
import { useApi } from '../../test/use-api.ts';

const policies = [definePolicy({ name: 'ten', limit: 10, windowMs: 60_000 })];
const api = useApi(() => ({ limiter: createLimiter<typeof policies>({ store: memoryStore(), policies, live: true }) }));

const put = async (path: string, body: unknown): Promise<Response> => api.ask('PUT', path, { body });
const get = async (path: string): Promise<unknown> => (await api.ask('GET', path, { as: 'read' })).json();
const consume = async (policy: string, subject: string): Promise<unknown> =>
  (await api.ask('POST', `/v1/limits/${policy}/consume`, { body: { subject }, as: 'decide' })).json();

describe('/v1/policies', () => {
  it('takes the place of a policy in code, until it is removed', async () => {
    expect((await put('/v1/policies/ten', { limit: 2, windowMs: 1_000 })).status).toBe(200);
    expect(await get('/v1/policies/ten')).toMatchObject({ limit: 2, algorithm: 'sliding-log', source: 'live' });
    expect(await consume('ten', 'a')).toMatchObject({ limit: 2, remaining: 1 });
    expect((await api.ask('DELETE', '/v1/policies/ten')).status).toBe(200);
    expect(await get('/v1/policies/ten')).toMatchObject({ limit: 10, source: 'code' });
    expect((await api.ask('DELETE', '/v1/policies/ten')).status).toBe(404);
  });

  it('adds policies that the code does not know, and they decide', async () => {
    expect((await api.ask('GET', '/v1/policies/exports')).status).toBe(404);
    await put('/v1/policies/exports', { algorithm: 'token-bucket', limit: 100, windowMs: 60_000, burst: 5 });
    const answer = await api.ask('POST', '/v1/limits/exports/consume', { body: { subject: 'a', cost: 5 } });
    expect(await answer.json()).toMatchObject({ allowed: true, policy: 'exports' });
    const { rows: all } = (await get('/v1/policies')) as { rows: { name: string; source: string }[] };
    expect(all.map(({ name, source }) => [name, source])).toEqual([
      ['exports', 'live'],
      ['ten', 'code'],
    ]);
  });

  it.each([
    [{ algorithm: 'quota', limit: 100, period: 'day', timeZone: 'Europe/Berlin' }],
    [{ algorithm: 'sliding-window', limit: 5_000, windowMs: 60_000, buckets: 10 }],
    [{ algorithm: 'fixed-window', limit: 5, windowMs: 60_000, blockMs: 1_000, onUnavailable: 'local', mode: 'shadow' }],
    [{ algorithm: 'concurrency', limit: 5, windowMs: 60_000, nearLimit: 0.5 }],
  ])('takes %j', async (rules) => {
    const response = await put('/v1/policies/new', rules);
    expect([response.status, await response.json()]).toMatchObject([200, { name: 'new', ...rules }]);
  });

  it.each([
    [{}, ['limit', 'windowMs']],
    [{ limit: 0, windowMs: 1 }, ['limit']],
    [{ limit: 5 }, ['windowMs']],
    [{ limit: 5, windowMs: 1, windowms: 1 }, ['windowms']],
    [{ algorithm: 'quota', limit: 5 }, ['period']],
    [{ algorithm: 'quota', limit: 5, period: 'day', timeZone: 'Nowhere/Land' }, ['timeZone']],
    [{ algorithm: 'token-bucket', limit: 5, windowMs: 1, burst: 0 }, ['burst']],
    [{ algorithm: 'sliding-log', limit: 10_001, windowMs: 1 }, ['limit']],
    [{ algorithm: 'leaky', limit: 5, windowMs: 1 }, ['algorithm']],
    [{ limit: 5, windowMs: 1, nearLimit: 1 }, ['nearLimit']],
  ])('refuses %j and names %j', async (rules, fields) => {
    const response = await put('/v1/policies/new', rules);
    expect(response.status).toBe(400);
    const { errors } = (await response.json()) as { errors: { field: string }[] };
    expect(errors.map(({ field }) => field)).toEqual(fields);
    expect((await api.ask('GET', '/v1/policies/new')).status).toBe(404);
  });

  it('refuses a name that no policy can have', async () => {
    expect((await put('/v1/policies/Ten', { limit: 1, windowMs: 1 })).status).toBe(400);
  });
});

const at = (subject: string): string => `/v1/policies/ten/override?subject=${encodeURIComponent(subject)}`;
const override = '/v1/policies/ten/override';

describe('/v1/policies/{policy}/overrides', () => {
  it('gives a subject or a pattern of subjects other numbers, until it is removed', async () => {
    expect(await (await put(override, { subject: 'org/7:*', limit: 20 })).json()).toMatchObject({
      policy: 'ten',
      subject: 'org/7:*',
      limit: 20,
    });
    await put(override, { subject: 'vip', limit: 100, mode: 'shadow' });
    expect(await consume('ten', 'org/7:ann')).toMatchObject({ limit: 20 });
    expect(await consume('ten', 'vip')).toMatchObject({ limit: 100 });
    expect(await consume('ten', 'somebody')).toMatchObject({ limit: 10 });
    expect(await get('/v1/policies/ten/overrides')).toMatchObject({ rows: [{}, {}], next: null });
    const first = (await get('/v1/policies/ten/overrides?limit=1')) as { rows: { subject: string }[]; next: string };
    const second = await get(`/v1/policies/ten/overrides?limit=1&after=${first.next}`);
    expect(second).toMatchObject({ rows: [{}], next: null });
    expect(second).not.toMatchObject({ rows: first.rows });
    expect((await api.ask('GET', '/v1/policies/ten/overrides?after=abc')).status).toBe(400);
    expect((await api.ask('DELETE', at('vip'))).status).toBe(200);
    expect((await api.ask('DELETE', at('vip'))).status).toBe(404);
    expect(await consume('ten', 'vip')).toMatchObject({ limit: 10 });
  });

  it('lets a cost pass that only the subject’s own limit allows, in a batch too', async () => {
    await put(override, { subject: 'big', limit: 50 });
    for (const [subject, status] of [
      ['big', 200],
      ['small', 400],
    ]) {
      const body = { requests: [{ subject, cost: 40 }] };
      expect((await api.ask('POST', '/v1/limits/ten/batch', { body })).status).toBe(status);
    }
  });

  it('refuses an override of nothing, of an unknown policy, and of what is no number', async () => {
    expect((await put(override, { subject: 'a' })).status).toBe(400);
    expect((await put(override, { subject: 'a', limit: '5' })).status).toBe(400);
    expect((await put('/v1/policies/none/override', { subject: 'a', limit: 5 })).status).toBe(404);
    expect((await api.ask('GET', '/v1/policies/none/overrides')).status).toBe(404);
  });
});

describe('/v1/lists', () => {
  const network = '10.0.0.0/8';

  it('admits who is on one and refuses who is on the other, until they are taken off', async () => {
    expect((await put('/v1/lists/entry', { entry: 'friend', verdict: 'allow' })).status).toBe(200);
    await put('/v1/lists/entry', { entry: network, verdict: 'deny' });
    const rows = [
      { entry: '10.0.0.0/8', verdict: 'deny' },
      { entry: 'friend', verdict: 'allow' },
    ];
    expect(await get('/v1/lists')).toEqual({ rows, next: null });
    expect(await get('/v1/lists?verdict=allow')).toEqual({ rows: rows.slice(1), next: null });
    const first = (await get('/v1/lists?limit=1')) as { next: string };
    expect(first).toMatchObject({ rows: rows.slice(0, 1) });
    expect(await get(`/v1/lists?limit=1&after=${first.next}`)).toEqual({ rows: rows.slice(1), next: null });
    expect(await consume('ten', 'ip:10.1.2.3')).toMatchObject({
      allowed: false,
      reason: 'deny_listed',
      retryAfterMs: null,
    });
    expect(await consume('ten', 'friend')).toMatchObject({ reason: 'allow_listed' });
    expect((await api.ask('DELETE', `/v1/lists/entry?entry=${network}`)).status).toBe(200);
    expect((await api.ask('DELETE', `/v1/lists/entry?entry=${network}`)).status).toBe(404);
    expect(await consume('ten', 'ip:10.1.2.3')).toMatchObject({ allowed: true });
  });

  it('refuses a verdict that is none and a network of everybody', async () => {
    expect((await put('/v1/lists/entry', { entry: 'a', verdict: 'maybe' })).status).toBe(400);
    expect((await put('/v1/lists/entry', { entry: '0.0.0.0/0', verdict: 'deny' })).status).toBe(400);
  });
});
