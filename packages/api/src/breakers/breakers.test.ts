import { randomUUID } from 'node:crypto';
import { type BreakerEventRow, insertBreakerEvents } from '@spillway/db';
import { BreakerInputError } from '@spillway/breaker';
import { beforeEach, expect, it } from 'vitest';
import { useApi } from '../testing/use-api.ts';
import type { BreakerControl, BreakerView } from './breaker-control.ts';

let states: Map<string, Partial<BreakerView>>;
beforeEach(() => {
  states = new Map();
});

/** Breakers in memory. */
const breakers: BreakerControl = {
  get(name, preset) {
    if (!['ai_provider', 'storage'].includes(preset))
      throw new BreakerInputError('preset', 'must be one of ai_provider');
    const id = `${preset}/${name}`;
    return {
      read: async () => ({
        name,
        preset,
        fleetState: 'closed',
        epoch: 0,
        sinceMs: null,
        refusesForMs: 0,
        openings: 0,
        reason: null,
        who: null,
        why: null,
        isAlone: false,
        ...states.get(id),
      }),
      forceOpen: async ({ who, why = null, forMs }) =>
        void states.set(id, { fleetState: 'forced_open', who, why, refusesForMs: forMs ?? null }),
      forceClosed: async ({ who, why = null }) => void states.set(id, { fleetState: 'forced_closed', who, why }),
      reset: async () => void states.delete(id),
    };
  },
};

const api = useApi(() => ({ breakers }));

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
    breakers: [
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

it('forces a breaker open or closed, isolates it, and gives it back to itself; the trail learns who and why', async () => {
  await insertBreakerEvents(api.pool, [event({})]);
  const open = await put('runware', { mode: 'forced_open', why: 'maintenance', forMs: 60_000 });
  expect([open.status, await open.json()]).toMatchObject([
    200,
    { fleetState: 'forced_open', who: 'admin', why: 'maintenance', refusesForMs: 60_000 },
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
  ['runware?preset=storage', { mode: 'forced_open', who: 'me' }, 'who'],
])('refuses %s with %j', async (path, body, field) => {
  const response = await put(path, body);
  expect([response.status, await response.json()]).toMatchObject([400, { errors: [{ field }] }]);
});
