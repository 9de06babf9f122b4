import { randomUUID } from 'node:crypto';
import { type Breakers, createBreakers, definePreset, memoryStore } from '@spillway/breaker';
import { type BreakerEventRow, insertBreakerEvents } from '@spillway/db';
import { useRedis } from '@spillway/local-servers/testing';
import { hotPathOptions } from '@spillway/redis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { useApi } from '../../test/use-api.ts';
import { useStartedApi } from '../../test/use-started-api.ts';

const down = (): Promise<never> => Promise.reject(new Error('down'));

const event = (over: Partial<BreakerEventRow>): BreakerEventRow => ({
  id: randomUUID(),
  breakerName: 'runware',
  preset: 'ai_provider',
  eventType: 'failure',
  failureCount: 3,
  errorMessage: 'timeout',
  metadata: {},
  breakerEpoch: null,
  outboxShard: 0,
  outboxEpoch: 1,
  outboxSeq: 1,
  createdAtMs: Date.now(),
  ...over,
});

interface Page {
  readonly rows: readonly { readonly name: string }[];
  readonly next: string | null;
}

describe('over a store in memory', () => {
  let breakers: Breakers;
  const api = useApi(() => ({ breakers: (breakers = createBreakers({ store: memoryStore() })) }));
  afterEach(() => breakers.close());

  const put = async (path: string, body: unknown): Promise<Response> =>
    api.ask('PUT', `/v1/breakers/${path}`, { body });
  const get = async (path = ''): Promise<unknown> =>
    (await api.ask('GET', `/v1/breakers${path}`, { as: 'read' })).json();

  it('lists those that the trail knows, as they stand in the fleet now', async () => {
    await insertBreakerEvents(api.pool, [
      event({}),
      event({ breakerName: 's3', preset: 'storage', errorMessage: null }),
    ]);
    await put('s3?preset=storage', { mode: 'forced_closed' });
    expect(await get()).toMatchObject({
      rows: [
        {
          name: 'runware',
          preset: 'ai_provider',
          fleetState: 'closed',
          failures: 3,
          timesOpened: 0,
          lastError: 'timeout',
        },
        { name: 's3', preset: 'storage', fleetState: 'forced_closed', lastError: null },
      ],
    });
  });

  it('lists as many as there are, page by page, and finds each', async () => {
    const names = Array.from({ length: 230 }, (_, index) => `b-${String(index).padStart(3, '0')}`);
    await insertBreakerEvents(
      api.pool,
      names.map((breakerName) => event({ breakerName, preset: 'storage' })),
    );
    const seen: string[] = [];
    let next: string | null = '';
    while (next !== null) {
      const page = (await get(`?limit=100${next === '' ? '' : `&after=${next}`}`)) as Page;
      seen.push(...page.rows.map(({ name }) => name));
      next = page.next;
    }
    expect(seen).toEqual(names);
    expect(await get('/b-229')).toMatchObject({ name: 'b-229', preset: 'storage' });
  });

  it('lists one whose preset is an application’s own as the trail has it', async () => {
    const opened = { preset: 'own', eventType: 'opened' as const, breakerEpoch: 7, errorMessage: null };
    await insertBreakerEvents(api.pool, [event({ ...opened, metadata: { reason: 'failures', openForMs: 60_000 } })]);
    const { rows: listed } = (await get()) as { rows: unknown[] };
    expect(listed).toMatchObject([
      { name: 'runware', preset: 'own', fleetState: 'open', reason: 'failures', isStale: true },
    ]);
    expect((await put('runware', { mode: 'auto' })).status).toBe(400);
  });

  it('forces a breaker open or closed, isolates it, and gives it back to itself; the trail learns who and why', async () => {
    await insertBreakerEvents(api.pool, [event({})]);
    const open = await put('runware', { mode: 'forced_open', why: 'maintenance', forMs: 60_000 });
    expect([open.status, await open.json()]).toMatchObject([
      200,
      { fleetState: 'forced_open', who: 'api-key:admin', why: 'maintenance', refusesForMs: expect.closeTo(60_000, -4) },
    ]);
    await put('runware', { mode: 'isolated' });
    expect(await get('/runware')).toMatchObject({ fleetState: 'forced_open', refusesForMs: null });
    await put('runware', { mode: 'forced_closed' });
    expect(await get('/runware')).toMatchObject({ fleetState: 'forced_closed' });
    await put('runware', { mode: 'auto' });
    expect(await get('/runware')).toMatchObject({ fleetState: 'closed', who: null });
  });

  it('needs the preset for a name that several presets have, or none yet', async () => {
    expect((await api.ask('GET', '/v1/breakers/runware')).status).toBe(404);
    expect((await put('runware?preset=ai_provider', { mode: 'auto' })).status).toBe(200);
    await insertBreakerEvents(api.pool, [event({}), event({ preset: 'storage' })]);
    const response = await api.ask('GET', '/v1/breakers/runware');
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { errors: [{ field: 'preset', detail: 'must say which: ai_provider, storage' }] },
    ]);
    expect(await get('/runware?preset=storage')).toMatchObject({ preset: 'storage' });
  });

  it.each([
    ['runware?preset=nope', { mode: 'auto' }, 'preset'],
    ['runware?preset=storage', { mode: 'open' }, 'mode'],
    ['runware?preset=storage', {}, 'mode'],
    ['runware?preset=storage', { mode: 'isolated', forMs: 5 }, 'forMs'],
    ['runware?preset=storage', { mode: 'forced_open', forMs: 0 }, 'forMs'],
    ['runware?preset=storage', { mode: 'forced_open', whom: 'me' }, 'whom'],
    ['runware?preset=storage', { mode: 'forced_open', preset: 'database' }, 'preset'],
  ])('refuses %s with %j', async (path, body, field) => {
    const response = await put(path, body);
    expect([response.status, await response.json()]).toMatchObject([400, { errors: [{ field }] }]);
  });
});

describe('over Redis', () => {
  const redis = useRedis();
  let breakers: ReturnType<typeof createBreakers> | undefined;
  afterEach(async () => breakers?.close());
  const api = useApi(() => ({ breakers: (breakers = createBreakers({ redis: redis.client, controlOnly: true })) }));

  it('a look at breakers that nobody has used finds nothing and writes nothing', async () => {
    await redis.client.flushall();
    for (let round = 0; round < 20; round += 1) {
      const path = `/v1/breakers/made-up-${round}?preset=ai_provider`;
      expect((await api.ask('GET', path, { as: 'read' })).status).toBe(404);
    }
    // The number of shards is told by each process, whatever it is asked.
    expect((await redis.client.keys('*')).filter((key) => key !== '{sw:00}:shards')).toEqual([]);
  });

  it('one that was moved or has met a call is found, before it has left an event', async () => {
    const calling = createBreakers({ redis: redis.connect() });
    for (let call = 0; call < 2; call += 1) await calling.run('used', 'ai_provider', async () => 'fine');
    await calling.close();
    await insertBreakerEvents(api.pool, [
      {
        id: '00000000-0000-4000-8000-000000000001',
        breakerName: 'long-ago',
        preset: 'ai_provider',
        eventType: 'closed',
        breakerEpoch: 3,
        outboxShard: 0,
        outboxEpoch: 1,
        outboxSeq: 1,
        createdAtMs: Date.now(),
        errorMessage: null,
        failureCount: 0,
        metadata: {},
      },
    ]);
    const status = async (name: string): Promise<number> =>
      (await api.ask('GET', `/v1/breakers/${name}?preset=ai_provider`, { as: 'read' })).status;
    await expect.poll(() => status('used')).toBe(200);
    expect(await status('long-ago')).toBe(200);
    await api.ask('PUT', '/v1/breakers/moved?preset=ai_provider', { body: { mode: 'isolated' } });
    expect(await status('moved')).toBe(200);
  });
});

describe('over Redis and Postgres', () => {
  const api = useStartedApi();
  const soon = { timeout: 15_000 };
  let key: Awaited<ReturnType<typeof api.newKey>>;
  beforeEach(async () => {
    key = await api.newKey('admin');
  });

  async function ask(path = '', body?: unknown): Promise<[number, unknown]> {
    const response = await fetch(`${api.url}/v1/breakers${path}`, {
      method: body === undefined ? 'GET' : 'PUT',
      headers: { Authorization: `Bearer ${key.key}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return [response.status, await response.json()];
  }

  it('a breaker that is forced open by HTTP refuses in every process, and the trail has who and why', async () => {
    api.startWorker();
    const client = api.redis.connect(hotPathOptions);
    await vi.waitUntil(() => client.status === 'ready');
    const application = createBreakers({ redis: client, deadlineMs: 5_000 });
    const call = async (): Promise<unknown> =>
      application.run('runware', 'ai_provider', () => 'fine', { fallback: null });
    expect(await call()).toBe('fine');

    const change = { mode: 'forced_open', why: 'their status page says so', forMs: 600_000 };
    const set = (): Promise<[number, unknown]> => ask('/runware?preset=ai_provider', change);
    // Redis may not be connected yet.
    await expect
      .poll(set, soon)
      .toMatchObject([200, { fleetState: 'forced_open', who: `api-key:${key.id}`, why: change.why }]);
    await expect.poll(call, soon).toBeNull();
    const refusal = await application.run('runware', 'ai_provider', () => 'fine').catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: 'circuit_open', state: 'forced_open' });

    const events = 'SELECT breaker_name, preset, event_type, metadata FROM circuit_breaker_events';
    await expect
      .poll(async () => (await api.pool.query(events)).rows, soon)
      .toMatchObject([
        {
          breaker_name: 'runware',
          preset: 'ai_provider',
          event_type: 'opened',
          metadata: { reason: 'forced', who: `api-key:${key.id}`, why: change.why },
        },
      ]);
    expect(await ask()).toMatchObject([
      200,
      { rows: [{ name: 'runware', fleetState: 'forced_open', isStale: false }] },
    ]);
    const scraped = await (await fetch(`${api.url}/metrics`)).text();
    expect(scraped).toContain('spillway_breaker_state{breaker="runware",preset="ai_provider",state="forced_open"} 1\n');

    expect(await ask('/runware', { mode: 'auto' })).toMatchObject([200, { fleetState: 'closed', who: null }]);
    await expect.poll(call, soon).toBe('fine');
    await application.close();
  });

  it("leaves an application's own numbers for a built-in preset as they are", async () => {
    const client = api.redis.connect(hotPathOptions);
    await vi.waitUntil(() => client.status === 'ready');
    const hourMs = 3_600_000;
    const own = definePreset({ name: 'ai_provider', trip: { strategy: 'consecutive', failures: 2 }, openMs: hourMs });
    const application = createBreakers({ redis: client, deadlineMs: 5_000, presets: [own] });
    const breaker = application.get('runware', 'ai_provider');
    const path = '/runware?preset=ai_provider';
    const asks = (): Promise<unknown> => ask(path).then(([, body]) => body);
    await expect.poll(() => ask(path), soon).toMatchObject([404, {}]);
    for (let times = 0; times < 2; times += 1)
      await application.run('runware', 'ai_provider', down).catch(() => undefined);
    await expect.poll(async () => (await breaker.read()).fleetState, soon).toBe('open');

    // By the built-in numbers the longest opening is ten minutes.
    const { refusesForMs } = (await asks()) as { refusesForMs: number };
    expect(refusesForMs).toBeGreaterThan(hourMs / 2);
    expect((await breaker.read()).refusesForMs).toBeGreaterThan(hourMs / 2);
    for (const change of [{ mode: 'forced_open', forMs: 60_000 }, { mode: 'auto' }]) {
      expect(await ask(path, { ...change, why: 'drill' })).toMatchObject([200, {}]);
    }
    const [record = ''] = await api.redis.client.keys('*:cb:ai_provider/runware');
    expect(JSON.parse((await api.redis.client.get(record)) ?? '{}')).toMatchObject({
      config: { version: 1, openMs: hourMs, trip: { failures: 2 } },
    });
    await application.close();
  });

  it('names the presets that there are', async () => {
    expect(await ask('/runware?preset=nope', { mode: 'auto' })).toMatchObject([
      400,
      { errors: [{ field: 'preset', detail: 'must be one of ai_provider, storage, webhook, email, not "nope"' }] },
    ]);
  });

  it('answers 503 to a change while Redis is away, and 200 with what is known to a question', async () => {
    await ask('/s3?preset=storage');
    await api.redis.client.client('PAUSE', 60_000, 'WRITE');
    expect(await ask('/s3?preset=storage', { mode: 'forced_open' })).toMatchObject([
      503,
      { title: 'Redis cannot be reached right now' },
    ]);
    expect(await ask('/s3?preset=storage')).toMatchObject([200, { name: 's3', isStale: true }]);
    await api.redis.client.client('UNPAUSE');
  });
});
