import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type HttpServer, serve } from '../serve.ts';
import { jwtAuthenticator } from './jwt.ts';
import type { Authenticator } from '../openapi/api-app.ts';
import { authenticator } from './require-scope.ts';
import { memoryLog } from '../../test/use-api.ts';

const issuer = 'https://issuer.test';
const audience = 'spillway';

let keys: JWK[];
let server: HttpServer;
let jwt: Authenticator;
beforeEach(async () => {
  keys = [];
  server = await serve({ fetch: () => Response.json({ keys }), host: '127.0.0.1', port: 0 });
  jwt = jwtAuthenticator({ jwksUrl: `${server.url}/jwks`, issuer, audience, logger: memoryLog().logger });
});
afterEach(async () => {
  await server.close(0);
});

/** Claims to set, or with undefined to leave out. */
type Claims = Readonly<Record<string, unknown>>;

type Signer = (claims?: Claims) => Promise<string>;

/** A key pair; its public half is published unless told otherwise. */
async function signer(published = true): Promise<Signer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const kid = `key-${keys.length}`;
  if (published) keys.push({ ...(await exportJWK(publicKey)), kid, alg: 'ES256' });
  return async (claims = {}) => {
    const usual = { iss: issuer, aud: audience, sub: 'ann', exp: Date.now() / 1_000 + 60, scope: 'spillway:decide' };
    return new SignJWT(JSON.parse(JSON.stringify({ ...usual, ...claims })) as JWTPayload)
      .setProtectedHeader({ alg: 'ES256', kid })
      .sign(privateKey);
  };
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

it('accepts a token of the issuer, with the scopes that are ours', async () => {
  const sign = await signer();
  const scopesOf = async (payload: Claims): Promise<unknown> => {
    const verdict = await jwt.verify(await sign(payload));
    return verdict.kind === 'known' && verdict.principal.scopes;
  };
  expect(await jwt.verify(await sign())).toEqual({
    kind: 'known',
    principal: { id: 'ann', kind: 'jwt', scopes: ['decide'] },
  });
  expect(await scopesOf({ scope: 'openid admin spillway:read spillway:operate other:decide decide' })).toEqual([
    'read',
    'operate',
  ]);
  expect(await scopesOf({ scope: undefined, scp: ['spillway:read', 'admin', 7] })).toEqual(['read']);
  expect(await scopesOf({ scope: 7 })).toEqual([]);
});

it.each<[string, Claims]>([
  ['of another issuer', { iss: 'https://other.test' }],
  ['for somebody else', { aud: 'other' }],
  ['that has ended', { exp: Date.now() / 1_000 - 60 }],
  ['that never ends', { exp: undefined }],
  ['that is not valid yet', { nbf: Date.now() / 1_000 + 60 }],
  ['about nobody', { sub: undefined }],
])('refuses a token %s', async (_, payload) => {
  const sign = await signer();
  expect(await jwt.verify(await sign(payload))).toEqual({ kind: 'unknown' });
});

it('refuses a forged one: unsigned, signed with a published key as a secret, or by a key that is not published', async () => {
  const sign = await signer();
  const [header, payload, signature] = (await sign()).split('.');
  const secret = Buffer.from(JSON.stringify(keys[0]));
  const shared = await new SignJWT({ iss: issuer, aud: audience, sub: 'ann', exp: Date.now() / 1_000 + 60 })
    .setProtectedHeader({ alg: 'HS256', kid: 'key-0' })
    .sign(secret);
  const forgeries = [
    `${encode({ alg: 'none' })}.${payload}.`,
    `${encode({ alg: 'none' })}.${payload}.x`,
    `${header}.${encode({ iss: issuer, aud: audience, sub: 'ann', exp: 9e9, scope: 'admin' })}.${signature}`,
    shared,
    await (await signer(false))(),
    'a.b.c',
  ];
  for (const forgery of forgeries) expect(await jwt.verify(forgery)).toEqual({ kind: 'unknown' });
});

it('says that it cannot know while the issuer is away', async () => {
  const sign = await signer();
  const token = await sign();
  await server.close(0);
  expect(await jwt.verify(token)).toEqual({ kind: 'unavailable' });
});

it('stands beside API keys: each kind goes to who knows it', async () => {
  const sign = await signer();
  const apiKeys: Authenticator = {
    verify: (token) =>
      token === 'sw_1'
        ? { kind: 'known', principal: { id: '1', kind: 'api-key', scopes: ['read'] } }
        : { kind: 'unknown' },
  };
  const both = authenticator(apiKeys, jwt);
  expect(await both.verify(await sign())).toMatchObject({ principal: { kind: 'jwt' } });
  expect(await both.verify('sw_1')).toMatchObject({ principal: { kind: 'api-key' } });
  expect(await authenticator(apiKeys).verify(await sign())).toEqual({ kind: 'unknown' });
});
