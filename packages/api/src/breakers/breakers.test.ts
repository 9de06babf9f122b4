import { randomUUID } from 'node:crypto';
import { type BreakerEventRow, insertBreakerEvents } from '@spillway/db';
import { type Breakers, createBreakers, memoryStore } from '@spillway/breaker';
import { afterEach, expect, it } from 'vitest';
import { useApi } from '../../test/use-api.ts';

let breakers: Breakers;
const api = useApi(() => ({ breakers: (breakers = createBreakers({ store: memoryStore() })) }));
afterEach(() => breakers.close());

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
const put = async (path: string, body: unknown): Promise<Response> => api.ask('PUT', `/v1/breakers/${path}`, { body });
const get = async (path = ''): Promise<unknown> => (await api.ask('GET', `/v1/breakers${path}`, { as: 'read' })).json();

it('lists those that the trail knows, as they stand in the fleet now', async () => {
  await insertBreakerEvents(api.pool, [event({}), event({ breakerName: 's3', preset: 'storage', errorMessage: null })]);
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
