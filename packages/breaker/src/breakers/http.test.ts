import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { useRedis } from '@spillway/local-servers/testing';
import { Hono } from 'hono';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { breakerFetch } from '../fetch/index.ts';
import { circuitOpenHandler } from '../hono/index.ts';
import { type FleetUnderTest, quick, redisFleet } from '../../test/breakers.ts';

const redis = useRedis();
let fleet: FleetUnderTest;
let provider: Server;
let calls: number;
let answer: { readonly status: number; readonly headers?: Readonly<Record<string, string>> };

beforeEach(async () => {
  fleet = redisFleet(redis);
  calls = 0;
  provider = createServer((_, response) => {
    calls += 1;
    response.writeHead(answer.status, answer.headers).end('answered');
  }).listen(0, '127.0.0.1');
  await once(provider, 'listening');
});
afterEach(async () => {
  provider.close();
  await fleet.dispose();
});

/** A service that asks the provider through a breaker. */
async function service(): Promise<Hono> {
  const breakers = await fleet.make([quick()]);
  const address = provider.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`;
  const guarded = breakerFetch(breakers, 'provider', 'quick');
  const app = new Hono().get('/', async (context) => context.text(`provider: ${(await guarded(url)).status}`));
  app.onError(circuitOpenHandler((error, context) => context.text(error.message, 500)));
  return app;
}

it('a failing provider is cut off, and the service answers 503 with Retry-After without asking it', async () => {
  answer = { status: 500 };
  const app = await service();
  let response = await app.request('/');
  expect(await response.text()).toBe('provider: 500');
  while (response.status === 200) response = await app.request('/');
  expect(response.status).toBe(503);
  expect(Number(response.headers.get('Retry-After'))).toBeGreaterThan(0);
  expect(await response.json()).toMatchObject({ status: 503, breaker: 'provider', preset: 'quick' });
  const asked = calls;
  expect((await app.request('/')).status).toBe(503);
  expect(calls).toBe(asked);
});

it('a provider that asks for a pause gets it from the first 429 on, for as long as it said', async () => {
  answer = { status: 429, headers: { 'Retry-After': '7' } };
  const app = await service();
  expect((await app.request('/')).status).toBe(200);
  await expect.poll(async () => (await app.request('/')).status).toBe(503);
  const asked = calls;
  const response = await app.request('/');
  expect(Number(response.headers.get('Retry-After'))).toBeGreaterThanOrEqual(5);
  expect(calls).toBe(asked);
});

it('a caller who is wrong is no failure of the provider', async () => {
  answer = { status: 404 };
  const app = await service();
  for (let call = 0; call < 20; call += 1) expect((await app.request('/')).status).toBe(200);
  expect(calls).toBe(20);
});
