import type { Snapshot } from './snapshot-shape.ts';
import { describe, expect, it } from 'vitest';
import { useApi, fixedKeys } from '../../test/use-api.ts';
import { cookieSessions } from '../auth/credential.ts';
import type { Verdict } from '../openapi/api-app.ts';
import { reportDecisions } from '../../test/use-dashboard.ts';

const SECRET = 'a secret of thirty-two characters';
const revoked = new Set<string>();
const authenticator = {
  verify: (token: string): Verdict => (revoked.has(token) ? { kind: 'unknown' } : (fixedKeys.verify(token) as Verdict)),
};
let ending = new AbortController();
const api = useApi(() => {
  ending = new AbortController();
  revoked.clear();
  return { authenticator, dashboard: { sessions: cookieSessions(SECRET), ending: ending.signal } };
});

const own = { Origin: 'http://localhost', Host: 'localhost' };

async function logIn(key: string, headers: Readonly<Record<string, string>> = own): Promise<Response> {
  return api.app.request('/dashboard/session', {
    method: 'POST',
    headers: { ...headers, 'Content-Type': 'application/json' },
    body: JSON.stringify({ key }),
  });
}

async function cookieOf(key: string): Promise<string> {
  const set = (await logIn(key)).headers.get('Set-Cookie') ?? '';
  return set.split(';')[0] ?? '';
}

async function statusWith(cookie: string, path = '/v1/audit/blocks'): Promise<number> {
  return (await api.app.request(path, { headers: { Cookie: cookie } })).status;
}

const unblock = async (cookie: string, headers: Readonly<Record<string, string>>): Promise<number> => {
  const answer = await api.app.request('/v1/limits/ten/unblock', {
    method: 'POST',
    headers: { Cookie: cookie, 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ subject: 'u' }),
  });
  return answer.status;
};

/** Events of a stream as they come. */
async function* eventsOf(response: Response): AsyncGenerator<{ readonly event: string; readonly data: string }> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      yield { event: /^event: (.*)$/mu.exec(block)?.[1] ?? '', data: /^data: (.*)$/mu.exec(block)?.[1] ?? '' };
    }
  }
}

describe('a login', () => {
  it('answers with a cookie that no script and no other site gets, and that does not show the key', async () => {
    const answer = await logIn('read');
    expect(answer.status).toBe(204);
    const cookie = answer.headers.get('Set-Cookie') ?? '';
    for (const part of ['HttpOnly', 'SameSite=Strict', 'Path=/', 'Max-Age=43200']) expect(cookie).toContain(part);
    expect(cookie).not.toContain('Secure');
    const behindTls = await logIn('read', { ...own, 'X-Forwarded-Proto': 'https' });
    expect(behindTls.headers.get('Set-Cookie')).toMatch(/^__Host-spillway_session=.*Secure/u);
    const session = await api.app.request('/dashboard/session', { headers: { Cookie: cookie.split(';')[0] ?? '' } });
    expect(await session.json()).toEqual({ scopes: ['read'] });
    for (const each of [answer, session]) expect(each.headers.get('Cache-Control')).toBe('no-store');
  });

  it.each([
    ['an unknown key', 'nobody', own, 401],
    ['a key that may not read', 'decide', own, 403],
    ['no key', '', own, 400],
    ['an endless key', 'x'.repeat(10_000), own, 400],
    ['another site', 'read', { ...own, Origin: 'https://evil.test' }, 403],
    ['no origin', 'read', { Host: 'localhost' }, 403],
  ])('is refused for %s', async (_, key, headers, status) => {
    const answer = await logIn(key, headers);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('Content-Type')).toContain('application/problem+json');
    expect(answer.headers.get('Set-Cookie')).toBeNull();
  });

  it('ends with a logout', async () => {
    const answer = await api.app.request('/dashboard/session', { method: 'DELETE' });
    const [plain, secure] = answer.headers.getSetCookie();
    expect(plain).toMatch(/^spillway_session=;.*Max-Age=0/u);
    expect(secure).toMatch(/^__Host-spillway_session=;.*Max-Age=0.*Secure/u);
  });
});

describe('a session', () => {
  it('reads what its key may read, until the key is revoked', async () => {
    const cookie = await cookieOf('read');
    expect(await statusWith(cookie)).toBe(200);
    revoked.add('read');
    expect(await statusWith(cookie)).toBe(401);
  });

  it('changes things only from a page of ours, and only with the scope', async () => {
    const admin = await cookieOf('admin');
    expect(await unblock(admin, own)).toBe(200);
    expect(await unblock(admin, { Host: 'localhost' })).toBe(403);
    expect(await unblock(admin, { ...own, Origin: 'http://localhost:9999' })).toBe(403);
    expect(await unblock(await cookieOf('read'), own)).toBe(403);
  });

  it('is nothing to a server with another secret, and neither is a made-up one', async () => {
    const cookie = await cookieOf('admin');
    const [head, ...rest] = cookie.split('.');
    expect(await statusWith(`${head}.${rest.toReversed().join('.')}`)).toBe(401);
    expect(await statusWith('spillway_session=admin')).toBe(401);
    const other = cookieSessions('another secret, of 32 characters');
    const { Hono } = await import('hono');
    const app = new Hono().get('/', async (context) => context.text((await other.tokenOf(context)) ?? 'nobody'));
    expect(await (await app.request('/', { headers: { Cookie: cookie } })).text()).toBe('nobody');
  });
});

describe('/dashboard/events', () => {
  it('gives whole snapshots of the range, from the tables', async () => {
    await reportDecisions(api.pool, { policy: 'standard', outcome: 'allowed', count: 1_200, ago: '5 minutes' });
    await api.pool.query(`
      INSERT INTO system_metrics (metric_name, metric_value) VALUES ('audit_oldest_event_age_ms', 12);
      INSERT INTO spillway.alerts (rule, value, threshold, opened_at)
        VALUES ('audit_oldest_event', 90, 60, now()), ('job_late/cron-archive-data', 9, 8, now() - interval '1 hour')`);
    const response = await api.app.request('/dashboard/events?range=15m', {
      headers: { Cookie: await cookieOf('read') },
    });
    expect(response.headers.get('Content-Type')).toContain('text/event-stream');
    const { value } = await eventsOf(response).next();
    expect(value?.event).toBe('snapshot');
    const snapshot = JSON.parse(value?.data ?? '') as Snapshot;
    expect(snapshot).toMatchObject({
      range: '15m',
      decisions: { kind: 'ready', data: [{ policy: 'standard', allowed: 20, blocked: 0, shadow: 0 }] },
      filter: { tier: null, action: null },
      blocks: { kind: 'ready', data: { blocked: [], refused: [], newestOnly: null } },
      users: { kind: 'ready', data: { users: [], calls: 0, newestOnly: null } },
      breakers: { kind: 'ready', data: { breakers: [], newestOnly: null } },
      trail: { kind: 'ready', data: { oldestWaitingMs: 12, lagP99Ms: null, backlog: null } },
      capacity: { kind: 'ready', data: { users: null, generationsPerHour: null } },
      alerts: {
        kind: 'ready',
        data: [
          { rule: 'audit_oldest_event', value: 90, threshold: 60, runbook: null },
          { rule: 'job_late/cron-archive-data', runbook: 'job_late' },
        ],
      },
    });
    const jobs = snapshot.jobs.kind === 'ready' ? snapshot.jobs.data : [];
    expect(jobs.map(({ jobName, status }) => [jobName, status])).toContainEqual(['cron-archive-data', 'never']);
    for (const { nextRunMs } of jobs) expect(nextRunMs).toBeGreaterThan(Date.now() - 1_000);
  });

  it('says of a part that cannot be read that it cannot, and shows the rest', async () => {
    await api.pool.query('ALTER TABLE circuit_breaker_events RENAME COLUMN created_at TO made_at');
    const response = await api.app.request('/dashboard/events', { headers: { Cookie: await cookieOf('read') } });
    const { value } = await eventsOf(response).next();
    expect(JSON.parse(value?.data ?? '')).toMatchObject({ breakers: { kind: 'failed' }, jobs: { kind: 'ready' } });
  });

  it('ends when the key is revoked, and when the server wants to end', async () => {
    const headers = { Cookie: await cookieOf('read') };
    const events = eventsOf(await api.app.request('/dashboard/events', { headers }));
    expect((await events.next()).value?.event).toBe('snapshot');
    revoked.add('read');
    expect((await events.next()).value?.event).toBe('signed-out');
    expect((await events.next()).done).toBe(true);

    revoked.clear();
    const others = eventsOf(await api.app.request('/dashboard/events', { headers }));
    await others.next();
    ending.abort();
    let last = await others.next();
    while (last.done !== true) last = await others.next();
    expect(last.done).toBe(true);
  });

  it('shows of a tier and an action only theirs, offers both to choose from, and refuses what is neither', async () => {
    await api.pool.query(`
      INSERT INTO rate_limits_v2 (id, key, tier, action, identifier, limit_count, window_ms, request_count, denied_count,
        window_start, last_request_at, blocked_until, outbox_shard, outbox_epoch, outbox_seq)
      SELECT gen_random_uuid(), 'k', tier, action, tier || action, 5, 60000, 5, 7, now(), now(), now(), 0, 1, 1
      FROM (VALUES ('ten', 'a'), ('ten', 'b'), ('other', 'a')) AS block (tier, action)`);
    const headers = { Cookie: await cookieOf('read') };
    const shown = async (query: string) => {
      const { value } = await eventsOf(await api.app.request(`/dashboard/events?${query}`, { headers })).next();
      const { blocks, choices } = JSON.parse(value?.data ?? '') as Snapshot;
      const data = blocks.kind === 'ready' ? blocks.data : expect.fail(blocks.reason);
      return { who: data.blocked.map(({ identifier }) => identifier), choices };
    };
    expect((await shown('tier=ten&action=')).who).toEqual(['tena', 'tenb']);
    expect((await shown('action=a')).who).toEqual(['othera', 'tena']);
    const both = await shown('range=7d&tier=ten&action=b');
    expect(both.who).toEqual(['tenb']);
    const data = both.choices.kind === 'ready' ? both.choices.data : expect.fail(both.choices.reason);
    expect(data.actions).toEqual(['a', 'b']);
    expect(data.tiers).toEqual([...new Set([...api.limiter.policies.keys(), 'other'])].toSorted());
    for (const [field, value] of [
      ['tier', 'x'.repeat(65)],
      ['action', 'a%00'],
    ]) {
      const answer = await api.app.request(`/dashboard/events?${field}=${value}`, { headers });
      expect([answer.status, await answer.json()]).toMatchObject([400, { errors: [{ field }] }]);
    }
  });

  it('refuses an unknown range, and a request without a session', async () => {
    const headers = { Cookie: await cookieOf('read') };
    expect((await api.app.request('/dashboard/events?range=toString', { headers })).status).toBe(400);
    expect((await api.app.request('/dashboard/events')).status).toBe(401);
  });
});
