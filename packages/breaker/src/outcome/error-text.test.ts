import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maskSecrets } from './error-text.ts';

const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl';

describe('maskSecrets', () => {
  it.each([
    ['Authorization: Bearer abcdef123456', 'Authorization: ***'],
    ['got 401 with bearer abcdef123456 sent', 'got 401 with bearer *** sent'],
    ['Basic dXNlcjpwYXNz was refused', 'Basic *** was refused'],
    ['Incorrect API key provided: sk-proj-abc123DEF456', 'Incorrect API key provided: ***'],
    ['key AKIAIOSFODNN7EXAMPLE is unknown', 'key *** is unknown'],
    ['GET https://api.example/v1?api_key=abc&user=7 failed', 'GET https://api.example/v1?api_key=***&user=7 failed'],
    ['connect postgres://admin:p@ss@db:5432/x', 'connect postgres://***@db:5432/x'],
    ['{"password":"hunter two","user":"a"}', '{"password":***,"user":"a"}'],
    ["client_secret='s3', retry", 'client_secret=***, retry'],
    [`token ${JWT} expired`, 'token *** expired'],
    ['hash d41d8cd98f00b204e9800998ecf8427e', 'hash ***'],
    ['wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY leaked', '*** leaked'],
    ['-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----', '***'],
    ['ghp_16C7e42F292c6912E7710c838347Ae178B4a in url', '*** in url'],
    ['sent {\\"api_key\\":\\"hunter2hunter2\\",\\"user\\":\\"a\\"}', 'sent {\\"api_key\\":***,\\"user\\":\\"a\\"}'],
    ['sent {\\\\"token\\\\":\\\\"hunter2\\\\"}', 'sent {\\\\"token\\\\":***}'],
    ['GET /cb?next=a%26api_key%3Dhunter2 failed', 'GET /cb?next=a%26api_key%3D*** failed'],
    ["array('user' => 'a', 'password' => 'hunter2')", "array('user' => 'a', 'password' => ***)"],
    ['Cookie: theme=dark; sid=hunter2; a=b\nHost: x', 'Cookie: ***\nHost: x'],
    ['set-cookie: sid=hunter2; HttpOnly', 'set-cookie: ***'],
    ['connect postgres://app:pa/ss@db:5432/x', 'connect postgres://***@db:5432/x'],
    ['token hf_abcdefghijklmnopqrst was refused', 'token *** was refused'],
    ['npm_abcdefghijklmnopqrstuvwxyz and whsec_abcdefghij', '*** and ***'],
    ['sb_secret_abcdefghijkl of Supabase', '*** of Supabase'],
    ['Authorization ApiKey abcdefgh', 'Authorization ApiKey ***'],
    ['GET /cb?auth=hunter2&code=4711&state=x', 'GET /cb?auth=***&code=***&state=x'],
    ['X-Auth: hunter2', 'X-Auth: ***'],
    ['db_pass=hunter2 otp: 123456 pin=1234', 'db_pass=*** otp: *** pin=***'],
    ['curl -u admin:hunter2 https://x', 'curl -u *** https://x'],
    ['curl --user=admin:hunter2 https://x', 'curl --user=*** https://x'],
    ['no mailbox of ada.lovelace+x@mail.example.org here', 'no mailbox of *** here'],
    ['blocked 203.0.113.7, and 2001:db8::7', 'blocked ***, and ***'],
  ])('makes %j into %j', (text, masked) => {
    expect(maskSecrets(text)).toBe(masked);
  });

  it.each([
    'fetch failed: connect ECONNREFUSED 127.0.0.1:443',
    'HTTP 503 Service Unavailable',
    'connect ECONNREFUSED 203.0.113.7:443',
    'at 12:34:56.789, version 1.2.3.4.5, node 20.19.0',
    'exit code: 1, error code=42P01, status code 500',
    'https://api.example:8443/v1/users failed',
    'compass: north, mapping: x, author: y',
    'request 0b5a2f8e-9c1d-4b7a-8e55-0d6f3c1a9b20 timed out',
    'ENOENT: no such file, open /usr/local/lib/node_modules/some-package/dist/index.js',
  ])('leaves %j as it is', (text) => {
    expect(maskSecrets(text)).toBe(text);
  });

  it('keeps 500 characters and no half of a pair', () => {
    expect(maskSecrets('a '.repeat(400))).toHaveLength(500);
    const cut = maskSecrets(`${'-'.repeat(499)}🌊🌊`);
    expect([cut.length, cut.isWellFormed()]).toEqual([499, true]);
  });

  it('lets no secret through, wherever in a text it stands', () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9]{8}[a-z]{2}[A-Z]{2}\d{2}[A-Za-z0-9]{22}$/);
    const frame = fc.constantFrom(
      (text: string) => text,
      (text: string) => `https://user:${text}@host/`,
      (text: string) => `x-api-key: ${text}`,
      (text: string) => `{"token": "${text}"}`,
      (text: string) => `Bearer ${text}`,
      (text: string) => `sk-${text}`,
    );
    fc.assert(
      fc.property(fc.string({ maxLength: 600 }), secret, frame, fc.string(), (before, hidden, wrap, after) => {
        expect(maskSecrets(`${before} ${wrap(hidden)} ${after}`)).not.toContain(hidden);
      }),
    );
  });

  it('gives well-formed text of bounded length, and the same again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 6_000 }), (text) => {
        const masked = maskSecrets(text);
        expect(masked.length).toBeLessThanOrEqual(500);
        expect(masked.isWellFormed()).toBe(true);
      }),
    );
  });

  // Backtracking on a text of this length would not end within the test's time.
  it('does not backtrack on a long text made to be slow', () => {
    for (const unit of ['a', 'key', '-', 'eyJ', '://', 'key="', '-----BEGIN ']) {
      expect(maskSecrets(unit.repeat(200_000)).length).toBeLessThanOrEqual(500);
    }
  });
});
