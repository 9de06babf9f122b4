import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { useRedis } from '@spillway/local-servers/testing';
import { Hono } from 'hono';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FleetUnderTest, outcomeOf, quick, redisFleet } from '../../test/breakers.ts';
import { breakerFetch, type Fetch } from '../fetch/index.ts';
import { circuitOpenHandler } from '../hono/index.ts';
import { memoryStore } from '../store/memory-store.ts';
import { createBreakers } from './create-breakers.ts';

const hang = (): Promise<never> => new Promise(() => undefined);

/** A provider that never answers. */
const hanging: Fetch = (_, init) =>
  new Promise((__, reject) => {
    init?.signal?.addEventListener('abort', () => reject(init.signal?.reason));
  });

function leaving(): AbortSignal {
  const person = new AbortController();
  setImmediate(() => person.abort());
  return person.signal;
}

describe('a service behind a breaker', () => {
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
});

describe("the caller's own signal", () => {
  const breakers = createBreakers({ store: memoryStore(), presets: [quick()] });
  afterEach(async () => {
    await breakers.get('a', 'quick').reset({ who: 'test' });
  });

  const guarded = breakerFetch(breakers, 'a', 'quick', { fetch: hanging });

  /** What five calls with a signal come to, one after the other. */
  async function five(signalOf: () => AbortSignal): Promise<unknown[]> {
    const outcomes: unknown[] = [];
    for (let call = 0; call < 5; call += 1) {
      const outcome = await guarded('http://a.test/', { signal: signalOf() }).catch((error: unknown) => error);
      outcomes.push(outcome instanceof DOMException ? outcome.name : await outcomeOf(Promise.reject(outcome)));
    }
    return outcomes;
  }

  it.each<[string, () => AbortSignal]>([
    ['AbortSignal.timeout', () => AbortSignal.timeout(1)],
    ['it among others', () => AbortSignal.any([AbortSignal.timeout(1), new AbortController().signal])],
  ])('a deadline that the caller set with %s fails, and opens', async (_, signalOf) => {
    expect(await five(signalOf)).toEqual([
      'TimeoutError',
      'TimeoutError',
      'TimeoutError',
      'circuit_open',
      'circuit_open',
    ]);
  });

  it.each<[string, () => AbortSignal]>([
    ['leaves', leaving],
    ['leaves before a deadline', () => AbortSignal.any([AbortSignal.timeout(60_000), leaving()])],
    ['had left before', () => AbortSignal.abort()],
  ])('a person who %s counts as nothing', async (_, signalOf) => {
    expect(await five(signalOf)).toEqual(Array.from({ length: 5 }, () => 'AbortError'));
    expect(breakers.get('a', 'quick').state).toBe('closed');
  });

  it('a deadline that was over before the call was made says nothing of the dependency', async () => {
    const over = AbortSignal.abort(new DOMException('time is up', 'TimeoutError'));
    expect(await five(() => over)).toEqual(Array.from({ length: 5 }, () => 'TimeoutError'));
    expect(breakers.get('a', 'quick').state).toBe('closed');
  });

  const within = (signal: AbortSignal): Promise<unknown> =>
    breakers.run('a', 'quick', hang, { signal, fallback: 'cached' });

  it("gives the fallback when the caller's own time was up, and not when a person left", async () => {
    expect(await within(AbortSignal.timeout(1))).toBe('cached');
    await expect(within(leaving())).rejects.toThrow('aborted');
  });
});
