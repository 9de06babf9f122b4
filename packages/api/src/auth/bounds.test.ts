import { createLimiter, definePolicy, memoryStore } from '@spillway/limiter';
import { describe, expect, it, vi } from 'vitest';
import { bearer, fixedKeys, useApi } from '../../test/use-api.ts';
import type { Authenticator } from '../openapi/api-app.ts';
import { countRequests, OWN_POLICY } from './bounds.ts';
import { cookieSessions } from './credential.ts';

/** Counts how often a signature is checked; `a.b.good` is signed well. */
const checked: string[] = [];
const keysAndTokens: Authenticator = {
  verify: async (token) => {
    if (!token.includes('.')) return fixedKeys.verify(token);
    checked.push(token);
    if (!token.endsWith('good')) return { kind: 'unknown' };
    return { kind: 'known', principal: { id: token, kind: 'jwt', scopes: ['read', 'decide'] } };
  },
};

const api = useApi((_, { onClose }) => {
  checked.length = 0;
  const policies = [definePolicy({ name: OWN_POLICY, limit: 5, windowMs: 60_000 })];
  const own = createLimiter({ store: memoryStore(), policies });
  onClose(() => own.close());
  return {
    authenticator: keysAndTokens,
    attempts: { failuresPerMinute: 3, trustedProxies: ['10.0.0.0/8'] },
    countRequest: countRequests(own),
    dashboard: { sessions: cookieSessions('x'.repeat(32)), ending: new AbortController().signal },
  };
});

interface Client {
  readonly from?: string;
  readonly forwarded?: string;
  readonly body?: object;
}

/** Sends a request as it comes from a connection. */
async function ask(
  token: string,
  path: string,
  { from = '192.0.2.1', forwarded, body }: Client = {},
): Promise<Response> {
  const headers = {
    Authorization: `Bearer ${token}`,
    ...(forwarded === undefined ? {} : { 'X-Forwarded-For': forwarded }),
    ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
  };
  const init = body === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(body) };
  return api.app.request(path, init, { incoming: { socket: { remoteAddress: from } } });
}
const statusOf = async (...asked: Parameters<typeof ask>): Promise<number> => (await ask(...asked)).status;
const peek = '/v1/limits/ten/peek';
const decision = { body: { subject: 'a' } };

const login = async (): Promise<number> => {
  const headers = { 'Content-Type': 'application/json', 'Sec-Fetch-Site': 'same-origin' };
  const init = { method: 'POST', headers, body: JSON.stringify({ key: 'a.b.x' }) };
  return (await api.app.request('/dashboard/session', init)).status;
};

describe('an address that sends credentials that are not valid', () => {
  it('gets 429 after some of them, for every route, and no further signature is checked', async () => {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const [path, sent] = attempt % 2 === 0 ? ['/v1/policies', {}] : [peek, decision];
      expect(await statusOf(`a.b.${attempt}`, path, sent)).toBe(401);
    }
    const refused = await ask('a.b.4', peek, decision);
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ type: 'urn:spillway:problem:too-many-attempts' });
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(0);
    expect(Number(refused.headers.get('Retry-After'))).toBeLessThanOrEqual(60);
    expect(await statusOf('a.b.5', '/v1/policies')).toBe(429);
    expect(checked).toHaveLength(3);
    expect(await statusOf('a.b.6', peek, { ...decision, from: '192.0.2.2' })).toBe(401);
  });

  it('is one IPv6 network, and its wrong API keys count too', async () => {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      expect(await statusOf('sw_wrong', peek, { ...decision, from: `2001:db8:0:1::${attempt}` })).toBe(401);
    }
    expect(await statusOf('sw_wrong', peek, { ...decision, from: '2001:db8:0:2::9' })).toBe(429);
  });

  it('does not lock out the keys that are valid, nor the tokens that were valid before', async () => {
    expect(await statusOf('a.b.good', peek, decision)).toBe(200);
    for (let attempt = 0; attempt < 5; attempt += 1) await ask('a.b.wrong', peek, decision);
    expect(await statusOf('a.b.good', peek, decision)).toBe(200);
    expect(await statusOf('a.c.good', peek, decision)).toBe(429);
  });

  it('cannot choose another address by a header, unless a trusted proxy wrote it', async () => {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await ask(`a.b.${attempt}`, peek, { ...decision, forwarded: `203.0.113.${attempt}` });
    }
    expect(await statusOf('a.b.4', peek, { ...decision, forwarded: '203.0.113.77' })).toBe(429);
    const behind = { ...decision, from: '10.1.2.3' };
    for (let attempt = 0; attempt < 3; attempt += 1) {
      expect(await statusOf('a.b.x', peek, { ...behind, forwarded: `198.51.100.${attempt}, 203.0.113.9` })).toBe(401);
    }
    expect(await statusOf('a.b.x', peek, { ...behind, forwarded: '198.51.100.9, 203.0.113.9' })).toBe(429);
    expect(await statusOf('a.b.x', peek, { ...behind, forwarded: '203.0.113.10' })).toBe(401);
  });

  it('may try again when its minute is over', async () => {
    for (let attempt = 0; attempt < 4; attempt += 1) await ask('a.b.x', peek, decision);
    const now = performance.now();
    const clock = vi.spyOn(performance, 'now').mockReturnValue(now + 60_001);
    try {
      expect(await statusOf('a.b.x', peek, decision)).toBe(401);
    } finally {
      clock.mockRestore();
    }
  });

  it('cannot have a thousand signatures checked at once either', async () => {
    const all = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => statusOf(`a.b.${index}`, peek, decision)),
    );
    expect(checked.length).toBeLessThanOrEqual(64);
    expect(all.filter((status) => status === 401)).toHaveLength(3);
    expect(new Set(all)).toEqual(new Set([401, 429]));
  });

  it('is bounded at the dashboard’s login as well', async () => {
    const statuses = [await login(), await login(), await login(), await login()];
    expect(statuses).toEqual([401, 401, 401, 429]);
  });
});

describe('a key', () => {
  it('has so many requests a minute over all routes, and no other key pays for it', async () => {
    const paths = ['/v1/policies', '/v1/audit/blocks', '/v1/lists', '/v1/policies/ten', '/v1/audit/gaps'];
    for (const path of paths) expect([path, (await api.ask('GET', path, { as: 'read' })).status]).toEqual([path, 200]);
    const refused = await api.ask('GET', '/v1/policies', { as: 'read' });
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ type: 'urn:spillway:problem:too-many-requests' });
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(0);
    for (const name of ['RateLimit', 'RateLimit-Policy', 'X-RateLimit-Limit'])
      expect(refused.headers.has(name)).toBe(false);
    expect((await api.ask('GET', '/v1/policies', { as: 'admin' })).status).toBe(200);
    expect((await api.app.request('/dashboard/session', { headers: bearer('read') })).status).toBe(429);
  });

  it('has no such bound on decisions, since their number is that of other people’s clients', async () => {
    for (let request = 0; request < 20; request += 1) {
      const response = await api.ask('POST', peek, { body: { subject: 'a' }, as: 'decide' });
      expect(response.status).toBe(200);
    }
  });

  it('pays nothing for what it may not do', async () => {
    for (let request = 0; request < 8; request += 1) {
      expect((await api.ask('GET', '/v1/keys', { as: 'read' })).status).toBe(403);
    }
    expect((await api.ask('GET', '/v1/policies', { as: 'read' })).status).toBe(200);
  });
});
