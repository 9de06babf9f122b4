import { type RedisServer, startRedis } from '@spillway/local-servers';
import { hotPathOptions } from '@spillway/redis';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { boom, fine, metricsWith, outcomeOf, quick } from '../../test/breakers.ts';
import type { BreakerMetrics } from '../metrics.ts';
import type { Breakers } from './breaker.ts';
import { createBreakers } from './create-breakers.ts';

let server: RedisServer;
let clients: Redis[] = [];
let made: Breakers<'quick'>[] = [];
const soon = { timeout: 10_000 };

beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());
beforeEach(async () => {
  const admin = connect();
  await vi.waitUntil(() => admin.status === 'ready');
  await admin.flushall();
});
afterEach(async () => {
  await Promise.all(made.map((breakers) => breakers.close()));
  for (const client of clients) client.disconnect();
  clients = [];
  made = [];
});

function connect(): Redis {
  const client = new Redis(server.url, hotPathOptions);
  client.on('error', () => undefined);
  clients.push(client);
  return client;
}

async function instance(
  options: Parameters<typeof quick>[0] = {},
  metrics?: BreakerMetrics,
): Promise<Breakers<'quick'>> {
  const redis = connect();
  const breakers = createBreakers({ redis, presets: [quick(options)], ...(metrics === undefined ? {} : { metrics }) });
  made.push(breakers);
  await call(breakers, fine);
  await expect.poll(() => breakers.get('a', 'quick').snapshot().epoch, soon).toBeGreaterThan(0);
  return breakers;
}

const call = (breakers: Breakers<'quick'>, fn: () => Promise<unknown>): Promise<unknown> =>
  outcomeOf(breakers.run('a', 'quick', fn));
const snapshots = (...fleet: Breakers<'quick'>[]) => fleet.map((breakers) => breakers.get('a', 'quick').snapshot());
const stale = (...fleet: Breakers<'quick'>[]): boolean[] => snapshots(...fleet).map(({ isStale }) => isStale);

function outages(): { metrics: BreakerMetrics; told: string[] } {
  const told: string[] = [];
  const outage = ({ kind }: { kind: string }): void => void told.push(kind);
  return { told, metrics: metricsWith({ outage }) };
}

it('goes on alone while Redis is dead: same thresholds, own counts, and back to the fleet afterwards', async () => {
  const { metrics, told } = outages();
  const [sick, well] = [await instance({ openMs: 100 }, metrics), await instance({ openMs: 100 })];
  await server.kill();
  for (let times = 0; times < 3; times += 1) expect(await call(sick, boom)).toBe('boom');
  expect(await call(sick, fine)).toBe('circuit_open');
  expect(await call(well, fine)).toBe('fine');
  await call(well, boom);
  await expect.poll(() => stale(sick, well), soon).toEqual([true, true]);
  expect(told).toEqual(['begin']);
  // It finds out by itself that the dependency is well again.
  await expect.poll(() => call(sick, fine), soon).toBe('fine');
  await server.restart();
  await expect.poll(() => stale(sick, well), soon).toEqual([false, false]);
  await expect.poll(() => told).toEqual(['begin', 'end']);
  const epochs = (): Set<number> => new Set(snapshots(sick, well).map(({ epoch }) => epoch));
  await expect.poll(() => epochs().size, soon).toBe(1);
});

it('makes the fleet open when Redis is back and two instances still refuse on their own counts', async () => {
  const [one, two] = [await instance(), await instance()];
  await server.kill();
  for (const each of [one, two]) for (let times = 0; times < 3; times += 1) await call(each, boom);
  await expect.poll(() => stale(one, two), soon).toEqual([true, true]);
  await server.restart();
  const fleetStates = (): string[] => snapshots(one, two).map(({ fleetState }) => fleetState);
  await expect.poll(fleetStates, soon).toEqual(['open', 'open']);
});

it('keeps refusing from where the fleet stood, and lets probes through by its own clock', async () => {
  const [one, two] = [await instance({ openMs: 1_000, quorum: 1 }), await instance({ openMs: 1_000, quorum: 1 })];
  for (let times = 0; times < 3; times += 1) await call(one, boom);
  await expect.poll(() => snapshots(two)[0]?.fleetState, soon).toBe('open');
  await server.pause();
  expect(await call(two, fine)).toBe('circuit_open');
  await expect.poll(() => call(two, fine), soon).toBe('fine');
  expect(stale(two)).toEqual([true]);
  await server.resume();
  await expect.poll(() => stale(one, two), soon).toEqual([false, false]);
});

it.each(['forceOpen', 'forceClosed'] as const)('knows of %s still when all that Redis held is gone', async (force) => {
  const [one, two] = [await instance(), await instance()];
  await one.get('a', 'quick')[force]({ who: 'ada', why: 'drill' });
  const expected = force === 'forceOpen' ? 'forced_open' : 'forced_closed';
  const fleetStates = (): string[] => snapshots(one, two).map(({ fleetState }) => fleetState);
  await expect.poll(fleetStates, soon).toEqual([expected, expected]);
  const [before] = snapshots(one);
  await connectAndFlush();
  // A newcomer that knows nothing comes first.
  const three = await instance();
  await two.get('a', 'quick').read();
  await expect
    .poll(() => snapshots(one, two, three).map(({ fleetState }) => fleetState), soon)
    .toEqual([expected, expected, expected]);
  for (const { epoch, who } of snapshots(one, two, three)) {
    expect(epoch).toBeGreaterThan(before?.epoch ?? Infinity);
    expect(who).toBe('ada');
  }
});

it('never goes back to an older epoch when Redis is emptied', async () => {
  const [one, two] = [await instance({ openMs: 50, quorum: 1 }), await instance({ openMs: 50, quorum: 1 })];
  const seen: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    for (let times = 0; times < 3; times += 1) await call(one, boom);
    await expect.poll(() => call(two, fine), soon).toBe('fine');
    seen.push(...snapshots(one, two).map(({ epoch }) => epoch));
    await connectAndFlush();
    await one.get('a', 'quick').read();
    const epochs = snapshots(one, two).map(({ epoch }) => epoch);
    expect(Math.min(...epochs)).toBeGreaterThanOrEqual(Math.min(...seen.slice(-2)));
  }
});

async function connectAndFlush(): Promise<void> {
  const admin = connect();
  await expect.poll(() => admin.status, soon).toBe('ready');
  await admin.flushall();
}
