import { createLimiter, definePolicy } from '@spillway/limiter';
import { useRedis } from '@spillway/local-servers/testing';
import { expect, it } from 'vitest';
import { useApi } from '../../test/use-api.ts';

const redis = useRedis();
const api = useApi((_, { onClose }) => {
  const policies = [definePolicy({ name: 'ten', limit: 10, windowMs: 60_000 })];
  const limiter = createLimiter({ redis: redis.client, policies, live: { deadlineMs: 10_000 } });
  onClose(() => limiter.close());
  return { limiter };
});

const send = async (method: string, path: string, body?: unknown): Promise<[number, unknown]> => {
  const response = await api.ask(method, path, body === undefined ? {} : { body });
  return [response.status, JSON.parse((await response.text()) || 'null')];
};

const trip = { strategy: 'rate', window: { kind: 'time', windowMs: 10_000 }, minimumCalls: 20, failureRate: 0.5 };
const preset = { trip, openMs: 15_000 };

it('a plan that is put holds for look-ups of plans, and not once it is removed', async () => {
  expect(await send('PUT', '/v1/plans/pro', { policies: ['ten', 'uploads'] })).toEqual([
    200,
    { name: 'pro', policies: ['ten', 'uploads'] },
  ]);
  expect(await send('GET', '/v1/plans')).toEqual([
    200,
    { rows: [{ name: 'pro', policies: ['ten', 'uploads'] }], next: null },
  ]);
  expect(await send('DELETE', '/v1/plans/pro')).toEqual([204, null]);
  for (const method of ['GET', 'DELETE']) {
    expect(await send(method, '/v1/plans/pro')).toMatchObject([404, { type: 'urn:spillway:problem:unknown-plan' }]);
  }
});

it('a preset is stored complete, so that programs that read it have the defaults of the version that stored it', async () => {
  const stored = {
    ...preset,
    name: 'search',
    maxOpenMs: 150_000,
    openBackoff: 2,
    probes: 1,
    timeoutMs: 10_000,
    quorum: 2,
  };
  expect(await send('PUT', '/v1/presets/search', preset)).toMatchObject([200, stored]);
  expect(await send('GET', '/v1/presets/search')).toMatchObject([200, stored]);
  expect(await send('PUT', '/v1/presets/search', { ...preset, timeoutMs: false })).toMatchObject([
    200,
    { timeoutMs: false },
  ]);
  expect(await send('DELETE', '/v1/presets/search')).toEqual([204, null]);
  expect(await send('GET', '/v1/presets/search')).toMatchObject([404, { type: 'urn:spillway:problem:unknown-preset' }]);
});

it.each([
  ['/v1/plans/pro', {}, 'policies'],
  ['/v1/plans/pro', { policies: [] }, 'policies'],
  ['/v1/plans/pro', { policies: ['a', 'a'] }, 'policies'],
  ['/v1/plans/pro', { policies: ['A b'] }, 'policies'],
  ['/v1/plans/pro', { policies: [1] }, 'policies.0'],
  ['/v1/plans/pro', { policies: Array.from({ length: 17 }, (_, index) => `p${index}`) }, 'policies'],
  ['/v1/plans/A%20b', { policies: ['a'] }, 'plan'],
  ['/v1/plans/pro', { policies: ['a'], name: 'free' }, 'name'],
  ['/v1/presets/search', { openMs: 15_000 }, 'trip'],
  ['/v1/presets/search', { trip }, 'openMs'],
  ['/v1/presets/search', { ...preset, openMs: 0 }, 'openMs'],
  ['/v1/presets/search', { ...preset, maxOpenMs: 1 }, 'maxOpenMs'],
  ['/v1/presets/search', { ...preset, timeoutMs: true }, 'timeoutMs'],
  ['/v1/presets/search', { ...preset, trip: { ...trip, failureRate: 2 } }, 'trip.failureRate'],
  [
    '/v1/presets/search',
    { ...preset, trip: { ...trip, window: { kind: 'time', windowMs: 0 } } },
    'trip.window.windowMs',
  ],
  ['/v1/presets/search', { ...preset, trip: { strategy: 'luck' } }, 'trip.strategy'],
  ['/v1/presets/search', { ...preset, classifier: 'x' }, 'classifier'],
  ['/v1/presets/search', { ...preset, name: 'other' }, 'name'],
])('PUT %s with %j names the field that is wrong: %s', async (path, body, field) => {
  const [status, problem] = await send('PUT', path, body);
  expect([status, problem]).toMatchObject([400, { errors: [{ field }] }]);
  expect(await send('GET', path.replace('A%20b', 'pro'))).toMatchObject([404, {}]);
});
