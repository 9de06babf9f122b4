import { type RedisServer, startRedis } from '@spillway/local-servers';
import { createLimiter, definePolicy, type Limiter } from '@spillway/limiter';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createApp } from '../app.ts';
import { type HttpServer, serve } from '../serve.ts';
import { type IdempotencyOptions, redisAnswers } from './idempotency.ts';
import { authenticator } from '../auth/require-scope.ts';
import type { Scope } from '../openapi/api-app.ts';
import { bearer, memoryLog } from '../../test/use-api.ts';

const SOON = { timeout: 15_000, interval: 20 };
const policies = [
  definePolicy({ name: 'ten', limit: 10, windowMs: 600_000 }),
  definePolicy({ name: 'closed', limit: 10, windowMs: 600_000, onUnavailable: 'closed' }),
  definePolicy({ name: 'slots', algorithm: 'concurrency', limit: 2, windowMs: 600_000 }),
];
const none = { redis: async () => undefined, postgres: async () => undefined };

let redis: RedisServer;
let client: Redis;
let url: string;
beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(async () => {
  client = new Redis(redis.url, hotPathOptions);
  client.on('error', () => undefined);
  await vi.waitUntil(() => client.status === 'ready', SOON);
  await client.flushall();
  ({ url } = await listen());
});
afterEach(() => client.disconnect());
afterAll(() => redis.stop());

/** An API on the file's Redis. */
async function listen(
  options: IdempotencyOptions & { readonly wrap?: (limiter: Limiter) => Limiter; readonly without?: boolean } = {},
): Promise<HttpServer> {
  const { wrap = (same) => same, without = false, ...rest } = options;
  const limiter: Limiter = createLimiter({ redis: client, policies, deadlineMs: 1_000 });
  const known = authenticator({
    verify: (token) => ({
      kind: 'known',
      principal: { id: token, kind: 'api-key', scopes: [token === 'other' ? 'decide' : (token as Scope)] },
    }),
  });
  const app = createApp({
    limiter: wrap(limiter),
    checks: none,
    logger: memoryLog().logger,
    authenticator: known,
    ...(without ? {} : { answers: redisAnswers(client, rest) }),
  });
  const server = await serve({ fetch: app.fetch, host: '127.0.0.1', port: 0 });
  onTestFinished(async () => {
    await server.close(0);
    await limiter.close();
  });
  return server;
}

type Said = readonly [status: number, result: string | null, body: Record<string, unknown>];

async function ask(path: string, key: string | undefined, body: object, as = 'decide', at = url): Promise<Said> {
  const headers = { ...bearer(as as Scope), 'Content-Type': 'application/json' };
  const response = await fetch(`${at}/v1/limits/${path}`, {
    method: 'POST',
    headers: key === undefined ? headers : { ...headers, 'Idempotency-Key': key },
    body: JSON.stringify(body),
  });
  return [response.status, response.headers.get('Idempotency-Result'), JSON.parse(await response.text())];
}
const left = async (subject = 'u', policy = 'ten'): Promise<unknown> =>
  (await ask(`${policy}/peek`, undefined, { subject }))[2]['remaining'];

describe('a request with an Idempotency-Key', () => {
  const one = { subject: 'u', cost: 2 };
  it.each<[string, object, unknown]>([
    ['ten/consume', one, 8],
    ['ten/penalize', one, 8],
    ['ten/batch', { requests: [one, one] }, 6],
    ['consume-all', { requests: [{ policy: 'ten', ...one }] }, 8],
    ['ten/reward', { subject: 'u' }, 10],
  ])('to %s is charged once and answered twice the same', async (path, body, remaining) => {
    const first = await ask(path, 'k', body);
    const second = await ask(path, 'k', body);
    expect(first.slice(0, 2)).toEqual([200, 'stored']);
    expect(second).toEqual([200, 'replayed', first[2]]);
    expect(await left()).toBe(remaining);
    expect((await ask(path, 'k2', body))[1]).toBe('stored');
  });

  it('takes one slot, and its retry names the same one', async () => {
    const [, , first] = await ask('slots/consume', 'k', { subject: 'u' });
    expect(await ask('slots/consume', 'k', { subject: 'u' })).toEqual([200, 'replayed', first]);
    expect(first['slot']).toEqual(expect.any(String));
    expect(await left('u', 'slots')).toBe(1);
  });

  it('gets a refusal again too: it is an answer', async () => {
    for (let spent = 0; spent < 5; spent += 1) await ask('ten/consume', undefined, one);
    const refused = await ask('ten/consume', 'k', one);
    expect(refused[2]).toMatchObject({ allowed: false });
    await ask('ten/reward', undefined, { subject: 'u', cost: 10 });
    expect(await ask('ten/consume', 'k', one)).toEqual([200, 'replayed', refused[2]]);
  });

  it('that is one of twenty at once is charged once: the others get its answer, or 409 and when to ask again', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, async () => ask('ten/consume', 'k', one)));
    expect(all.filter(([, result]) => result === 'stored')).toHaveLength(1);
    for (const [status, result, body] of all) {
      if (status === 200) expect(body).toMatchObject({ remaining: 8 });
      else expect([status, result, body['type']]).toEqual([409, null, 'urn:spillway:problem:request-in-progress']);
    }
    expect(await left()).toBe(8);
    const waited = await fetch(`${url}/healthz`);
    expect(waited.status).toBe(200);
  });

  it.each<[string, object]>([
    ['ten/consume', { subject: 'u', cost: 3 }],
    ['ten/consume', { subject: 'v', cost: 2 }],
    ['ten/consume', { subject: 'u', cost: 2, action: 'x' }],
    ['closed/consume', one],
    ['ten/penalize', one],
    ['ten/batch', { requests: [one] }],
  ])('is 422 with the key of another request: %s %j', async (path, body) => {
    await ask('ten/consume', 'k', one);
    expect(await ask(path, 'k', body)).toMatchObject([
      422,
      null,
      { type: 'urn:spillway:problem:idempotency-key-reused', errors: [{ field: 'Idempotency-Key' }] },
    ]);
    expect(await left()).toBe(8);
  });

  it('is the same request whatever the order of its members and the quotes of its key', async () => {
    await ask('ten/consume', 'k', { subject: 'u', cost: 2 });
    expect((await ask('ten/consume', '"k"', { cost: 2, subject: 'u' }))[1]).toBe('replayed');
  });

  it('meets no key of another principal', async () => {
    await ask('ten/consume', 'k', one);
    expect((await ask('ten/consume', 'k', one, 'other'))[1]).toBe('stored');
    expect(await left()).toBe(6);
  });

  it.each([
    '',
    ' ',
    'x'.repeat(256),
    '""',
    '"a',
    'a"b"',
    'a b',
    'a, b',
    '"a", "b"',
    'schlüssel',
    '"\\n"',
    `"${'x'.repeat(256)}"`,
  ])('is 400 with the key %j, and nothing is charged', async (key) => {
    const sent = Buffer.from(key).toString('latin1');
    expect(await ask('ten/consume', sent, one)).toMatchObject([400, null, { errors: [{ field: 'Idempotency-Key' }] }]);
    expect(await left()).toBe(10);
  });

  it.each(['x'.repeat(255), `"${'x'.repeat(255)}"`, '"a, b \\" c"', '8e03978e-40d5-43dd-bc93-6894a57f9324'])(
    'may have the key %s',
    async (key) => {
      expect((await ask('ten/consume', key, one))[1]).toBe('stored');
      expect((await ask('ten/consume', key, one))[1]).toBe('replayed');
    },
  );

  it('that is not valid leaves its key free', async () => {
    expect((await ask('none/consume', 'k', one))[0]).toBe(404);
    expect((await ask('ten/consume', 'k', { subject: 'u', cost: 11 }))[0]).toBe(400);
    expect((await ask('ten/consume', 'k', one))[1]).toBe('stored');
  });

  it('needs it on no route that charges nothing', async () => {
    expect(await ask('ten/peek', 'k', one)).toMatchObject([200, null, { remaining: 10 }]);
    expect(await client.keys('*idem*')).toEqual([]);
  });
});

it('a request without a key costs Redis nothing more, and its answer says nothing of it', async () => {
  expect((await ask('ten/consume', undefined, { subject: 'u' }))[1]).toBeNull();
  expect(await client.keys('*idem*')).toEqual([]);
});

it('what is kept ends by itself, and a key may be used again then', async () => {
  const { url: at } = await listen({ ttlMs: 300 });
  await ask('ten/consume', 'k', { subject: 'u' }, 'decide', at);
  for (const key of await client.keys('*idem*')) expect([key, (await client.pttl(key)) > 0]).toEqual([key, true]);
  await expect
    .poll(async () => (await ask('ten/consume', 'k', { subject: 'u' }, 'decide', at))[1], SOON)
    .toBe('stored');
  await expect.poll(() => client.keys('*idem*'), SOON).toEqual([]);
});

it('once the answers take all the room they may, a new key is 429 and not charged, until there is room', async () => {
  const { url: at } = await listen({ ttlMs: 1_500, maxBytes: 16 * 300 });
  const statuses = new Set<number>();
  for (let key = 0; key < 200; key += 1) {
    const [status, , body] = await ask('ten/consume', `k${key}`, { subject: `u${key}` }, 'decide', at);
    statuses.add(status);
    if (status === 429) {
      expect(body).toMatchObject({ type: 'urn:spillway:problem:too-many-idempotency-keys' });
      expect(await left(`u${key}`)).toBe(10);
      break;
    }
  }
  expect(statuses).toEqual(new Set([200, 429]));
  const all = async (): Promise<number[]> =>
    Promise.all(['a', 'b', 'c'].map(async (key) => (await ask('ten/consume', key, { subject: key }, 'decide', at))[0]));
  await expect.poll(all, SOON).toEqual([200, 200, 200]);
});

it('a process that dies between charge and answer locks its key for the lease and no longer', async () => {
  const dead = await listen({
    leaseMs: 1_500,
    wrap: (limiter) => ({
      ...limiter,
      consume: async (...args: Parameters<Limiter['consume']>) => {
        await limiter.consume(...args);
        return new Promise(() => undefined);
      },
    }),
  });
  const lost = ask('ten/consume', 'k', { subject: 'u' }, 'decide', dead.url).catch(() => 'lost');
  await expect.poll(() => left(), SOON).toBe(9);
  await dead.close(0);
  expect(await lost).toBe('lost');
  expect((await ask('ten/consume', 'k', { subject: 'u' }))[0]).toBe(409);
  expect(await left()).toBe(9);
  await expect.poll(async () => (await ask('ten/consume', 'k', { subject: 'u' }))[1], SOON).toBe('stored');
  expect(await left()).toBe(8);
});

it('while Redis is away the policy answers, and the answer says that a retry would be charged', async () => {
  await redis.kill();
  try {
    for (const [path, allowed] of [
      ['ten/consume', true],
      ['closed/consume', false],
    ] as const) {
      expect(await ask(path, 'k', { subject: 'u' })).toMatchObject([
        200,
        'not-stored',
        { allowed, reason: 'unavailable' },
      ]);
    }
    expect((await ask('ten/penalize', 'k', { subject: 'u' }))[0]).toBe(503);
  } finally {
    await redis.restart();
  }
});

it('without anywhere to keep answers it says so too', async () => {
  const { url: at } = await listen({ without: true });
  expect((await ask('ten/consume', 'k', { subject: 'u' }, 'decide', at))[1]).toBe('not-stored');
});
