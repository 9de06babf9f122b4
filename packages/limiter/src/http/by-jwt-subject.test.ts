import { createHmac, timingSafeEqual } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { byJwtSubject, type ByJwtSubjectOptions, type JwtClaims } from './identity.ts';

const SECRET = 'for this test only';

const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const signatureOf = (text: string): Buffer => createHmac('sha256', SECRET).update(text).digest();

function sign(claims: object): string {
  const text = `${base64url({ alg: 'HS256' })}.${base64url(claims)}`;
  return `${text}.${signatureOf(text).toString('base64url')}`;
}

/** Stands in for the verifier that a program brings along: checks an HS256 signature. */
async function verify(token: string): Promise<JwtClaims> {
  const [head = '', body = '', signature = ''] = token.split('.');
  if (!timingSafeEqual(signatureOf(`${head}.${body}`), Buffer.from(signature, 'base64url'))) throw new Error('forged');
  return JSON.parse(Buffer.from(body, 'base64url').toString()) as JwtClaims;
}

const withCredentials = (authorization: string): Request => new Request('http://test/', { headers: { authorization } });

describe('byJwtSubject', () => {
  const identify = byJwtSubject({ verify });

  it('names the subject of a verified token, whatever the case of the scheme', async () => {
    expect(await identify(withCredentials(`Bearer ${sign({ sub: 'alice' })}`))).toBe('jwt:alice');
    expect(await identify(withCredentials(`bearer  ${sign({ sub: 'alice' })}`))).toBe('jwt:alice');
  });

  it('keeps apart the users of two issuers who have one number, whatever characters are in it', async () => {
    const claims: JwtClaims[] = [
      { iss: 'https://one.example', sub: '1' },
      { iss: 'https://other.example', sub: '1' },
      { sub: '1' },
      { sub: 'https://one.example|1' },
      { iss: 'a|b', sub: 'c' },
      { iss: 'a', sub: 'b|c' },
      { iss: 'a%7Cb', sub: 'c' },
      { iss: '', sub: '1' },
    ];
    const subjects = await Promise.all(claims.map(async (each) => identify(withCredentials(`Bearer ${sign(each)}`))));
    expect(subjects[0]).toBe('jwt:https://one.example|1');
    expect(new Set(subjects).size).toBe(claims.length);
    expect(subjects).not.toContain(undefined);
  });

  it('knows nobody by a token whose issuer is no text', async () => {
    expect(await identify(withCredentials(`Bearer ${sign({ sub: '1', iss: ['a'] })}`))).toBeUndefined();
  });

  it('takes the claims of a verifier that answers at once', async () => {
    const atOnce = byJwtSubject({ verify: () => ({ sub: 'bob' }) });
    expect(await atOnce(withCredentials('Bearer token'))).toBe('jwt:bob');
  });

  it('knows nobody by a forged token, and keeps the error of the verifier to itself', async () => {
    const [head, , signature] = sign({ sub: 'alice' }).split('.');
    const forged = `${head}.${base64url({ sub: 'admin' })}.${signature}`;
    await expect(identify(withCredentials(`Bearer ${forged}`))).resolves.toBeUndefined();
    const throwing = byJwtSubject({
      verify: () => {
        throw new Error('expired');
      },
    });
    await expect(throwing(withCredentials('Bearer token'))).resolves.toBeUndefined();
  });

  it.each([[{}], [{ sub: '' }], [{ sub: 7 }], [{ sub: null }]])('knows nobody by the claims %j', async (claims) => {
    expect(await identify(withCredentials(`Bearer ${sign(claims)}`))).toBeUndefined();
  });

  it('shows the verifier nothing but bearer tokens', async () => {
    const seen: string[] = [];
    const watching = byJwtSubject({ verify: (token) => ({ sub: String(seen.push(token)) }) });
    for (const credentials of ['Basic YTpi', 'Bearer', 'Bearer ', 'Bearer a b', 'Bearer a,b', 'xBearer a']) {
      expect(await watching(withCredentials(credentials))).toBeUndefined();
    }
    expect(await watching(new Request('http://test/'))).toBeUndefined();
    expect(await watching(withCredentials('Bearer a.b-c_d~e+f/g=='))).toBe('jwt:1');
    expect(seen).toEqual(['a.b-c_d~e+f/g==']);
  });

  it('refuses a verifier that is no function, at construction', () => {
    const options = { verify: 'secret' } as unknown as ByJwtSubjectOptions;
    expect(() => byJwtSubject(options)).toThrow('verify must be a function, not "secret"');
  });
});
