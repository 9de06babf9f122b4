import { definePreset } from '@spillway/breaker';
import { type Breakers, createBreakers, httpStore } from '@spillway/breaker/http-store';
import { afterEach, expect, it } from 'vitest';
import { useStartedApi } from '../../test/use-started-api.ts';

const api = useStartedApi();
const soon = { timeout: 20_000 };
const own = definePreset({
  name: 'own',
  trip: { strategy: 'rate', window: { kind: 'count', calls: 10 }, minimumCalls: 3, failureRate: 0.5 },
  slowCalls: { durationMs: 60_000, rate: 0.9 },
  openMs: 300,
  quorum: 1,
  probes: 2,
  record: ['transitions', 'failures', 'successes'],
  timeoutMs: false,
});

let made: Breakers<'own'>[] = [];

afterEach(async () => {
  await Promise.all(made.map((breakers) => breakers.close()));
  made = [];
});

function over(key: string): Breakers<'own'> {
  const breakers = createBreakers({ store: httpStore({ url: api.url, key, deadlineMs: 10_000 }), presets: [own] });
  made.push(breakers);
  return breakers;
}

const boom = async (): Promise<never> => {
  throw new Error('boom');
};
const outcome = (breakers: Breakers<'own'>, fn: () => Promise<unknown>): Promise<unknown> =>
  breakers.run('hooks: {ü}/1', 'own', fn).catch((error: unknown) => (error instanceof Error ? error.message : error));

it('processes that reach the API only share a breaker of a preset of their own: it opens, probes, closes, and is in the trail', async () => {
  api.startWorker();
  const { key } = await api.newKey('report');
  const [one, two] = [over(key), over(key)];
  expect(await outcome(two, async () => 'fine')).toBe('fine');
  await expect.poll(() => two.get('hooks: {ü}/1', 'own').snapshot().epoch, soon).toBeGreaterThan(0);
  await expect.poll(async () => outcome(one, boom), soon).toBe('circuit own/hooks: {ü}/1 is open');
  await expect.poll(async () => outcome(two, async () => 'fine'), soon).toMatch(/^fine$/u);
  await expect
    .poll(async () => {
      await Promise.all([outcome(one, async () => 'fine'), outcome(two, async () => 'fine')]);
      return [one, two].map((breakers) => breakers.get('hooks: {ü}/1', 'own').snapshot().fleetState);
    }, soon)
    .toEqual(['closed', 'closed']);
  const rows = async (): Promise<unknown> => {
    // Both may have called it closed because they had not heard yet that it is open: it closes by calls alone.
    await Promise.all([outcome(one, async () => 'fine'), outcome(two, async () => 'fine')]);
    const { rows: found } = await api.pool.query<{ event_type: string }>(
      "select distinct event_type from circuit_breaker_events where breaker_name = 'hooks: {ü}/1' order by 1",
    );
    return found.map(({ event_type }) => event_type);
  };
  await expect.poll(rows, soon).toEqual(expect.arrayContaining(['closed', 'failure', 'half_open', 'opened']));
}, 60_000);

it('a breaker is moved by hand over the API with the scope operate too, in the name of the key', async () => {
  const { key: reporting } = await api.newKey('report');
  const { key: operating, id } = await api.newKey('report', 'operate');
  const byReporter = over(reporting).get('a', 'own').forceOpen({ why: 'drill' });
  await expect(byReporter).rejects.toMatchObject({ code: 'store_unavailable', cause: { code: 'access_denied' } });
  await over(operating).get('a', 'own').forceOpen({ who: 'mallory', why: 'drill', forMs: 60_000 });
  const seen = await over(reporting).get('a', 'own').read();
  expect(seen).toMatchObject({ fleetState: 'forced_open', who: `api-key:${id}`, why: 'drill' });
  await over(operating).get('a', 'own').reset();
  expect((await over(reporting).get('a', 'own').read()).fleetState).toBe('closed');
});

const view = {
  epoch: 0,
  seeded: false,
  kind: 'closed',
  sinceMs: 0,
  untilMs: 0,
  openings: 0,
  reason: '',
  who: '',
  why: '',
};
const known = { ...view, alertUntilMs: 0, nowMs: 0 };
const trip = {
  failures: 3,
  forgetMs: 5_000,
  over: 'time',
  size: 0,
  staleMs: 0,
  minimumCalls: 1,
  failureRate: 2,
  slowRate: 2,
};
const config = {
  version: 1,
  trip,
  trips: true,
  openMs: 1_000,
  maxOpenMs: 8_000,
  backoff: 2,
  decayMs: 10_000,
  probes: 2,
  leaseMs: 500,
  maxExpiries: 3,
  quorum: 2,
  recordFailures: true,
  recordSuccesses: false,
};
const counts = {
  successes: 1,
  failures: 0,
  slow: 0,
  quotas: 0,
  leadingFailures: 0,
  longestRun: 0,
  trailingFailures: 0,
};
const batch = { ...counts, retryAfterMs: 0, quotaMs: 0, samples: [] };
const report = { type: 'report', seq: 1, batch };
const command = { name: 'a', preset: 'own', config, known, action: report };
const instance = '0b0e6c1a-0000-4000-8000-000000000000';
const DAY = 86_400_000;

const send = (key: string, body: string): Promise<Response> =>
  fetch(`${api.url}/v1/breakers/commands`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body,
  });

it('commands may be larger than other bodies, up to 1 MiB', async () => {
  const { key } = await api.newKey('report');
  const body = JSON.stringify({ instance, commands: [command] });
  expect((await send(key, body.padEnd(1024 * 1024))).status).toBe(200);
  expect((await send(key, body.padEnd(1024 * 1024 + 1))).status).toBe(413);
});

it.each([
  ['commands.0.known.epoch', { known: { ...known, epoch: Number.MAX_SAFE_INTEGER } }],
  ['commands.0.known.untilMs', { known: { ...known, kind: 'open', reason: 'quota', untilMs: Date.now() + 400 * DAY } }],
  ['commands.0.known.kind', { known: { ...known, kind: 'ajar' } }],
  ['commands.0.config.openMs', { config: { ...config, openMs: 2 * DAY } }],
  ['commands.0.config.backoff', { config: { ...config, backoff: 1e300 } }],
  ['commands.0.config.probes', { config: { ...config, probes: 0 } }],
  ['commands.0.config.trip.over', { config: { ...config, trip: { ...trip, over: 'weeks' } } }],
  ['commands.0.action.batch.quotaMs', { action: { ...report, batch: { ...batch, quotaMs: 2 * DAY } } }],
  ['commands.0.action.batch.failures', { action: { ...report, batch: { ...batch, failures: -1 } } }],
  ['commands.0.action.batch.samples', { action: { ...report, batch: { ...batch, samples: Array(11).fill('x') } } }],
  ['commands.0.action', { action: { type: 'explode' } }],
  ['commands.0.name', { name: 'a\n' }],
  ['commands.0.preset', { preset: 'Own' }],
])('a command whose %s can not be is refused, and names it', async (field, wrong) => {
  const { key } = await api.newKey('report');
  expect((await send(key, JSON.stringify({ instance, commands: [command] }))).status).toBe(200);
  const refused = await send(key, JSON.stringify({ instance, commands: [{ ...command, ...wrong }] }));
  expect(refused.status).toBe(400);
  const { errors } = (await refused.json()) as { errors: { field: string }[] };
  expect(errors.map((error) => error.field)).toContainEqual(expect.stringMatching(new RegExp(`^${field}`, 'u')));
});
