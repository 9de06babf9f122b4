import { describe, expect, it } from 'vitest';
import { useApi } from '../../test/use-api.ts';
import { cookieSessions } from '../auth/credential.ts';

const api = useApi(() => ({
  dashboard: { sessions: cookieSessions('a secret of thirty-two characters'), ending: new AbortController().signal },
}));

const UPSTREAM = { Host: 'spillway-api:8787' };
const PAGE = 'https://spillway.example.com';

async function logIn(headers: Readonly<Record<string, string>>): Promise<Response> {
  return api.app.request('http://spillway-api:8787/dashboard/session', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ key: 'admin' }),
  });
}

describe('a login behind a proxy', () => {
  it.each([
    ['without one', { ...UPSTREAM, Origin: 'http://spillway-api:8787' }],
    ['that keeps its own host', { ...UPSTREAM, Origin: PAGE, 'Sec-Fetch-Site': 'same-origin' }],
    ['that drops the port', { Host: 'spillway.example.com', Origin: `${PAGE}:8443`, 'Sec-Fetch-Site': 'same-origin' }],
    [
      'that names the host apart',
      { ...UPSTREAM, Origin: 'http://intern.example', 'X-Forwarded-Host': 'intern.example' },
    ],
    ['behind another one', { ...UPSTREAM, Origin: 'http://a.example', 'X-Forwarded-Host': 'a.example, b.example' }],
    ['for a browser that hides its origin', { ...UPSTREAM, Origin: 'null', 'Sec-Fetch-Site': 'same-origin' }],
  ])('works: %s', async (_, headers) => {
    expect((await logIn(headers)).status).toBe(204);
  });

  it.each([
    ['another site', { ...UPSTREAM, Origin: 'https://evil.test', 'Sec-Fetch-Site': 'cross-site' }],
    ['another subdomain', { ...UPSTREAM, Origin: 'https://b.example.com', 'Sec-Fetch-Site': 'same-site' }],
    ['another site over plain HTTP', { ...UPSTREAM, Origin: 'http://evil.test' }],
    ['an address that somebody typed', { ...UPSTREAM, 'Sec-Fetch-Site': 'none' }],
    ['a hidden origin', { ...UPSTREAM, Origin: 'null' }],
    ['nothing said', UPSTREAM],
  ])('is refused from elsewhere: %s', async (_, headers) => {
    expect((await logIn(headers)).status).toBe(403);
  });

  it.each([
    ['one proxy', { 'X-Forwarded-Proto': 'https' }, true],
    ['two proxies', { 'X-Forwarded-Proto': 'https,http' }, true],
    ['two proxies and a blank', { 'X-Forwarded-Proto': 'HTTPS, http' }, true],
    ['the standard header', { Forwarded: 'for=192.0.2.60;proto=https;by=203.0.113.43, proto=http' }, true],
    ['the page alone', { Origin: PAGE }, true],
    ['a browser on plain HTTP', { 'X-Forwarded-Proto': 'http,https' }, false],
    ['nothing', {}, false],
  ])('makes a Secure cookie of this host alone where the browser speaks HTTPS: %s', async (_, headers, isSecure) => {
    const answer = await logIn({ ...UPSTREAM, 'Sec-Fetch-Site': 'same-origin', ...headers });
    const cookie = answer.headers.get('Set-Cookie') ?? '';
    expect([cookie.startsWith('__Host-'), / Secure/iu.test(cookie)]).toEqual([isSecure, isSecure]);
    const session = await api.app.request('/dashboard/session', {
      headers: { ...headers, Cookie: cookie.split(';')[0] ?? '' },
    });
    expect(session.status).toBe(200);
  });

  it('takes no cookie over HTTPS that another subdomain could have set', async () => {
    const answer = await logIn({ ...UPSTREAM, Origin: 'http://spillway-api:8787' });
    const Cookie = answer.headers.get('Set-Cookie')?.split(';')[0] ?? '';
    const session = await api.app.request('/dashboard/session', { headers: { Cookie, 'X-Forwarded-Proto': 'https' } });
    expect(session.status).toBe(401);
  });
});
