import { createHmac, timingSafeEqual } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  byApiKey,
  byJwtSubject,
  type ByJwtSubjectOptions,
  firstOf,
  type Identify,
  type JwtClaims,
  UnusableIdentityError,
} from './identity.ts';

const request = new Request('http://test/');
const nobody: Identify = () => undefined;
const nobodyLater: Identify = async () => undefined;
const failing: Identify = async () => {
  throw new Error('directory is down');
};

describe('firstOf', () => {
  it('answers at once with the first that knows and does not ask further', () => {
    const asked: string[] = [];
    const named =
      (name: string): Identify =>
      () => {
        asked.push(name);
        return name;
      };
    expect(firstOf(nobody, named('a'), named('b'))(request)).toBe('a');
    expect(asked).toEqual(['a']);
  });

  it('waits for those that need time, in order', async () => {
    expect(
      await firstOf(
        nobodyLater,
        nobody,
        nobodyLater,
        async () => 'a',
        () => 'b',
      )(request),
    ).toBe('a');
    expect(await firstOf(nobodyLater, () => 'b')(request)).toBe('b');
  });

  it('knows nobody when none of them does', async () => {
    expect(firstOf(nobody, nobody)(request)).toBeUndefined();
    expect(await firstOf(nobody, nobodyLater)(request)).toBeUndefined();
  });

  it('fails with the one that fails instead of passing over it', async () => {
    await expect(firstOf(failing, () => 'b')(request)).rejects.toThrow('directory is down');
  });

  it('refuses to be built of nothing or of what is no function', () => {
    expect(() => firstOf()).toThrow('identifies must be at least one function, not none');
    expect(() => firstOf(nobody, 'byIp' as unknown as Identify)).toThrow('identifies must be functions, not "byIp"');
  });
});

const withKey = (key: string): Request => new Request('http://api.test/', { headers: { 'X-API-Key': key } });
const known = (): boolean => true;
const GIVEN_OUT = new Set(['demo', 'other']);

/** An identity that counts how often it asks. */
function watched(options: { readonly cacheMs?: number; readonly later?: boolean } = {}) {
  const asked: string[] = [];
  const { later = false, ...rest } = options;
  const identify = byApiKey({
    verify: (key) => {
      asked.push(key);
      return later ? Promise.resolve(GIVEN_OUT.has(key)) : GIVEN_OUT.has(key);
    },
    ...rest,
  });
  return { asked, identify };
}

describe('byApiKey', () => {
  it('names a key by its hash, each key by another, and the same each time', async () => {
    for (const later of [false, true]) {
      const { identify } = watched({ later });
      const subjects = [
        await identify(withKey('demo')),
        await identify(withKey('other')),
        await identify(withKey('demo')),
      ];
      expect(subjects[0]).toMatch(/^api_key:[0-9a-f]{32}$/);
      expect(subjects[1]).not.toBe(subjects[0]);
      expect(subjects[2]).toBe(subjects[0]);
    }
  });

  // Who made up a key for each request was never limited.
  it('counts all keys that were not given out as one', async () => {
    const { identify } = watched({ later: true });
    const subjects = await Promise.all(['k1', 'k2', 'k'.repeat(512)].map(async (key) => identify(withKey(key))));
    expect(new Set(subjects)).toEqual(new Set(['api_key:unknown']));
  });

  it('finds no identity without a key, and calls no verifier', () => {
    const { identify, asked } = watched();
    expect(identify(new Request('http://api.test/'))).toBeUndefined();
    expect(identify(withKey(''))).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it('remembers keys that were verified, and none that was made up', async () => {
    const { identify, asked } = watched();
    for (const key of ['demo', 'made-up', 'demo', 'made-up', 'demo']) await identify(withKey(key));
    expect(asked).toEqual(['demo', 'made-up', 'made-up']);
    const each = watched({ cacheMs: 0 });
    for (let time = 0; time < 3; time += 1) await each.identify(withKey('demo'));
    expect(each.asked).toEqual(['demo', 'demo', 'demo']);
  });

  it('refuses a key that is too long for any service, and calls no verifier', () => {
    const { identify, asked } = watched();
    for (const key of ['k'.repeat(513), 'ü'.repeat(300), 'k'.repeat(15_000)]) {
      expect(() => identify(withKey(key))).toThrow(UnusableIdentityError);
    }
    expect(asked).toEqual([]);
  });

  it('takes nothing but true for a key that was given out', async () => {
    for (const answer of [undefined, 'yes', 1, {}]) {
      const identify = byApiKey({ verify: async () => answer as unknown as boolean });
      expect(await identify(withKey('demo'))).toBe('api_key:unknown');
    }
  });

  it('fails a request whose key cannot be verified now', async () => {
    const identify = byApiKey({ verify: () => Promise.reject(new Error('directory down')) });
    await expect(identify(withKey('demo'))).rejects.toThrow('directory down');
  });

  it.each([
    [undefined, 'verify'],
    [{}, 'verify'],
    [{ verify: true }, 'verify'],
    [{ verify: known, cacheMs: -1 }, 'cacheMs'],
    [{ verify: known, ttlMs: 5 }, 'options.ttlMs is not an option'],
  ])('refuses %j at construction', (options, field) => {
    expect(() => byApiKey(options as Parameters<typeof byApiKey>[0])).toThrow(field);
  });
});

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
